// The gradient of a dense layer's kernel, x^T dy, by oneDNN, as a call that XLA's CPU programs make.
//
// The longer side of the result is cut into a piece for each thread, and a single-threaded oneDNN primitive runs on
// each piece, on XLA's own thread pool. Nothing is summed over pieces, so that every run gives the same bits.
#include <string>
#include <vector>

#include "onednn.h"

using namespace cnnlab;

namespace {

// left [depth, rows], turned over, times right [depth, columns]; product.py writes the same order of numbers.
struct Product {
  int64_t rows, depth, columns, operand_type, result_type;
};

struct Piece {
  memory::desc left, right, made;
  int64_t left_at, right_at, made_at;  // in bytes
  dnnl::matmul primitive;
  size_t scratch;
};

struct Plan {
  std::vector<Piece> pieces;
  std::string implementation;

  Plan(const Product& p, int64_t threads) {
    OneThread alone;
    const bool by_rows = p.rows >= p.columns;
    const int64_t length = by_rows ? p.rows : p.columns, blocks = (length + 15) / 16;
    // Waking a thread costs some ten microseconds, in which a core does about half a million multiply-adds.
    const int64_t count = double(p.rows) * p.depth * p.columns < 5e5 ? 1 : std::min(threads, blocks);
    for (int64_t i = 0; i < count; ++i)
      add(p, by_rows, blocks * i / count * 16, std::min(blocks * (i + 1) / count * 16, length));
  }

  void add(const Product& p, bool by_rows, int64_t first, int64_t end) {
    const auto operand = type_of(p.operand_type), result = type_of(p.result_type);
    const int64_t rows = by_rows ? end - first : p.rows, columns = by_rows ? p.columns : end - first;
    const memory::dims of_left{1, p.rows}, of_right{p.columns, 1};
    const int64_t size = memory::data_type_size(operand), made_size = memory::data_type_size(result);
    Piece piece{{{rows, p.depth}, operand, of_left}, {{p.depth, columns}, operand, of_right},
                {{rows, columns}, result, of_right},
                by_rows ? first * size : 0, by_rows ? 0 : first * size,
                first * (by_rows ? p.columns : 1) * made_size};
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
    dnnl::matmul::primitive_desc described(engine(), piece.left, piece.right, piece.made, attributes);
    implementation = described.impl_info_str();
    piece.scratch = described.scratchpad_desc().get_size();
    piece.primitive = dnnl::matmul(described);
    pieces.push_back(piece);
  }
};

ffi::Error product(ffi::ThreadPool pool, ffi::AnyBuffer left, ffi::AnyBuffer right, ffi::Result<ffi::AnyBuffer> made,
                   ffi::Span<const int64_t> numbers) {
  return guarded("product by oneDNN", [&] {
    auto plan = plan_of<Plan, Product>(numbers, pool);
    auto at = [](auto& buffer, int64_t bytes) { return static_cast<char*>(buffer.untyped_data()) + bytes; };
    spread(pool, plan->pieces.size(), [&](size_t i) {
      const Piece& p = plan->pieces[i];
      execute(p.primitive,
              {{DNNL_ARG_SRC, memory(p.left, engine(), at(left, p.left_at))},
               {DNNL_ARG_WEIGHTS, memory(p.right, engine(), at(right, p.right_at))},
               {DNNL_ARG_DST, memory(p.made, engine(), at(*made, p.made_at))}},
              p.scratch);
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_product, product,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("problem"));

// Whether oneDNN has more than a reference for a product: 1 it has, 0 it has not.
extern "C" int cnnlab_product_probe(const int64_t* numbers, int64_t threads) {
  try {
    return plan_of<Plan, Product>(numbers, threads)->implementation.find("ref") == std::string::npos;
  } catch (const std::exception&) {
    return 0;
  }
}
