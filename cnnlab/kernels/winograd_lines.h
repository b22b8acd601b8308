// The loops of winograd.cc. A block of tiles has 16 planes, one for each place of a patch, `plane` numbers apart:
// [tile][channel] each.

// Sums of kRows x 2 vectors, with two of the right side and one of the left, fill the registers.
constexpr int kLane = WIDEST, kRows = WIDEST == 16 ? 14 : 6;
typedef Floats<kLane> V;

INLINE V at(const float* from) { return load_block<kLane>(from); }
INLINE void put(float* to, V value) { store_block<kLane>(to, value); }

// B^T times (a, b, c, d).
INLINE void through_b(V& a, V& b, V& c, V& d) {
  const V first = a - c, second = b + c, third = c - b, fourth = b - d;
  a = first, b = second, c = third, d = fourth;
}

// B^T d B of `count` tiles from `tile`, of the channels `first` to `end`; beyond the map d is 0.
void patches(const Winograd& s, const float* x, int64_t tile, int64_t count, int64_t first, int64_t end,
             const float* zeros, float* made, int64_t plane) {
  for (Place p(s, tile); count > 0; --count, p.next(s)) {
    const float* from[4][4];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const int64_t row = 2 * p.row + i - s.pad[0], column = 2 * p.column + j - s.pad[1];
        const bool inside = uint64_t(row) < uint64_t(s.in[0]) && uint64_t(column) < uint64_t(s.in[1]);
        from[i][j] = inside ? x + ((p.example * s.in[0] + row) * s.in[1] + column) * s.channels : zeros;
      }
    for (int64_t c = first; c < end; c += kLane, made += kLane) {
      V d[4][4];
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 4; ++i) d[i][j] = at(from[i][j] + c);
        through_b(d[0][j], d[1][j], d[2][j], d[3][j]);
      }
      for (int i = 0; i < 4; ++i) {
        through_b(d[i][0], d[i][1], d[i][2], d[i][3]);
        for (int j = 0; j < 4; ++j) put(made + (4 * i + j) * plane, d[i][j]);
      }
    }
  }
}

// A dy A^T of `count` tiles' 2x2 places.
void errors(const Winograd& s, const float* dy, int64_t tile, int64_t count, const float* zeros, float* made,
            int64_t plane) {
  for (Place p(s, tile); count > 0; --count, p.next(s)) {
    const bool wide = 2 * p.column + 1 < s.out[1], high = 2 * p.row + 1 < s.out[0];
    const int64_t line = s.out[1] * s.features;
    const float* first = dy + p.output(s);
    const float *right = wide ? first + s.features : zeros, *below = high ? first + line : zeros;
    const float* across = wide && high ? first + line + s.features : zeros;
    for (int64_t k = 0; k < s.features; k += kLane, made += kLane) {
      const V a = at(first + k), b = at(right + k), c = at(below + k), d = at(across + k);
      const V rows[4][2] = {{a, b}, {a + c, b + d}, {a - c, b - d}, {-c, -d}};
      for (int i = 0; i < 4; ++i) {
        float* to = made + 4 * i * plane;
        put(to, rows[i][0]);
        put(to + plane, rows[i][0] + rows[i][1]);
        put(to + 2 * plane, rows[i][0] - rows[i][1]);
        put(to + 3 * plane, -rows[i][1]);
      }
    }
  }
}

// A^T m A of `count` tiles, of the features `first` to `end`, to their places in y, with what comes after.
template <bool kAfter>
void outputs(const Winograd& s, const float* m, int64_t plane, int64_t tile, int64_t count, int64_t first, int64_t end,
             float* y, Epilogue after) {
  const V zero = {};
  for (Place p(s, tile); count > 0; --count, p.next(s)) {
    const bool wide = 2 * p.column + 1 < s.out[1], high = 2 * p.row + 1 < s.out[0];
    float* corner = y + p.output(s);
    for (int64_t k = first; k < end; k += kLane, m += kLane) {
      auto write = [&](float* to, V value) {
        if constexpr (kAfter) {
          value += at(after.bias + k);
          if (after.residual) value += at(to);
          if (after.relu) value = value < zero ? zero : value;
        }
        put(to, value);
      };
      V rows[2][4];
      for (int j = 0; j < 4; ++j) {
        const V a = at(m + j * plane), b = at(m + (4 + j) * plane), c = at(m + (8 + j) * plane);
        rows[0][j] = a + b + c;
        rows[1][j] = b - c - at(m + (12 + j) * plane);
      }
      for (int i = 0; i < 1 + high; ++i) {
        float* to = corner + i * s.out[1] * s.features + k;
        write(to, rows[i][0] + rows[i][1] + rows[i][2]);
        if (wide) write(to + s.features, rows[i][1] - rows[i][2] - rows[i][3]);
      }
    }
  }
}

// G times (a, b, c).
INLINE void through_g(const V (&g)[3], V (&made)[4]) {
  const V outer = g[0] + g[2];
  made[0] = g[0], made[1] = 0.5f * (outer + g[1]), made[2] = 0.5f * (outer - g[1]), made[3] = g[2];
}

// G g G^T of the features `first` to `end`, a panel, times each one's factor: 16 planes of [channel][feature].
void kernels(const Winograd& s, const float* weights, const float* factor, int64_t first, int64_t end, float* made,
             int64_t plane) {
  constexpr int kSome = 16;  // channels whose weights are turned over together, where features lie apart
  float turned[9][kSome][kPanel];
  for (int64_t c = 0; c < s.channels; c += kSome) {
    const float* from = weights + first * s.by_feature + c * s.by_channel;
    for (int tap = 0; tap < 9 && s.by_feature != 1; ++tap)
      for (int64_t k = 0; k < end - first; ++k)
        for (int i = 0; i < kSome; ++i)
          turned[tap][i][k] = from[tap / 3 * s.by_tap[0] + tap % 3 * s.by_tap[1] + k * s.by_feature + i * s.by_channel];
    for (int i = 0; i < kSome; ++i)
      for (int64_t k = 0; k < end - first; k += kLane, made += kLane) {
        const V scale = factor ? at(factor + first + k) : V{} + 1.0f;
        V g[3][3], columns[3][4], row[3], all[4];
        for (int y = 0; y < 3; ++y)
          for (int x = 0; x < 3; ++x) {
            const float* tap = &turned[3 * y + x][i][k];
            if (s.by_feature == 1) {
              tap = from + y * s.by_tap[0] + x * s.by_tap[1] + i * s.by_channel + k;
              __builtin_prefetch(tap + 8 * s.by_channel);
            }
            g[x][y] = scale * at(tap);
          }
        for (int x = 0; x < 3; ++x) through_g(g[x], columns[x]);
        for (int y = 0; y < 4; ++y) {
          for (int x = 0; x < 3; ++x) row[x] = columns[x][y];
          through_g(row, all);
          for (int x = 0; x < 4; ++x) put(made + (4 * y + x) * plane, all[x]);
        }
      }
  }
}

// G^T times (a, b, c, d).
INLINE void back_through_g(const V (&u)[4], V (&made)[3]) {
  const V half = 0.5f * (u[1] + u[2]);
  made[0] = u[0] + half, made[1] = 0.5f * (u[1] - u[2]), made[2] = half + u[3];
}

// G^T u G of the channels `first` to `end`, u being 16 planes of [channel][feature].
void gradients(const Winograd& s, const float* u, int64_t plane, int64_t first, int64_t end, float* weights) {
  for (int64_t c = first; c < end; ++c)
    for (int64_t k = 0; k < s.features; k += kLane) {
      V column[4], rows[4][3], row[4], all[3];
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 4; ++i) column[i] = at(u + (4 * i + j) * plane + c * s.features + k);
        back_through_g(column, rows[j]);
      }
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 4; ++j) row[j] = rows[j][i];
        back_through_g(row, all);
        for (int j = 0; j < 3; ++j) {
          float* to = weights + k * s.by_feature + c * s.by_channel + i * s.by_tap[0] + j * s.by_tap[1];
          for (int lane = 0; lane < kLane; ++lane) to[lane * s.by_feature] = all[j][lane];
        }
      }
    }
}

// What a product is of: left [rows, depth] and right [depth, columns], by the strides of their two axes.
struct Sides {
  const float* left;
  int64_t by_row, by_depth;
  const float* right;
  int64_t right_by_depth;
  float* made;
  int64_t made_by_row;
};

// R rows and W vectors of columns, set or `added`.
template <int R, int W>
INLINE void small_product(const Sides& s, int64_t depth, bool added) {
  V sums[R][W] = {};
  for (int64_t d = 0; d < depth; ++d) {
    V side[W];
    for (int w = 0; w < W; ++w) side[w] = at(s.right + d * s.right_by_depth + w * kLane);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float factor = s.left[r * s.by_row + d * s.by_depth];
      for (int w = 0; w < W; ++w) sums[r][w] += side[w] * factor;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    for (int w = 0; w < W; ++w) {
      float* to = s.made + r * s.made_by_row + w * kLane;
      put(to, added ? at(to) + sums[r][w] : sums[r][w]);
    }
}

template <int R, int W>
void rows_of_product(int64_t rows, const Sides& s, int64_t depth, bool added) {
  if constexpr (R > 0) {
    if (rows == R) return small_product<R, W>(s, depth, added);
    rows_of_product<R - 1, W>(rows, s, depth, added);
  }
}

// made [rows, columns], set or `added`: groups of rows as even as they can be, by one or two vectors of columns.
void product(const Sides& all, int64_t rows, int64_t depth, int64_t columns, bool added) {
  const int64_t groups = (rows + kRows - 1) / kRows;
  for (int64_t k = 0; k < columns; k += 2 * kLane)
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t row = rows * g / groups, some = rows * (g + 1) / groups - row;
      Sides s = all;
      s.left += row * s.by_row, s.right += k, s.made += row * s.made_by_row + k;
      if (columns - k > kLane) rows_of_product<kRows, 2>(some, s, depth, added);
      else rows_of_product<kRows, 1>(some, s, depth, added);
    }
}
