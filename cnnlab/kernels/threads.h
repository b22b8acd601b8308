// What every kernel runs on: XLA's own pool of threads, and memory that a thread keeps.
#pragma once

#include <omp.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

#include "lanes.h"  // Bfloat16
#include "xla/ffi/api/ffi.h"

namespace cnnlab {

namespace ffi = xla::ffi;

// While it lives, oneDNN starts no threads of its own from this thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }

 private:
  int before_;
};

// Memory that a thread keeps from call to call, since fresh pages cost more than many a convolution.
class Buffer {
 public:
  void* get(size_t bytes) {
    if (bytes > size_) {
      std::free(data_);
      size_ = (bytes + 4095) / 4096 * 4096;
      data_ = std::aligned_alloc(4096, size_);
      if (data_ == nullptr) size_ = 0;
      if (data_ == nullptr) throw std::bad_alloc();
    }
    return data_;
  }
  ~Buffer() { std::free(data_); }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

// Runs task(0) ... task(count - 1) on the pool and the calling thread. The caller takes tasks itself until none is
// left and then waits only for those that have begun, so that callers which fill the whole pool cannot wait for
// one another.
inline void spread(ffi::ThreadPool& pool, size_t count, const std::function<void(size_t)>& task) {
  struct Shared {
    std::atomic<size_t> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable finished;
    std::string error;
  };
  auto shared = std::make_shared<Shared>();
  // A latecomer finds no task left and never touches `task`, which may be gone by then.
  auto work = [shared, count, &task] {
    for (size_t i; (i = shared->next.fetch_add(1)) < count;) {
      std::string error;
      try {
        OneThread alone;
        task(i);
      } catch (const std::exception& e) {
        error = e.what();
      }
      std::lock_guard<std::mutex> lock(shared->mutex);
      if (!error.empty()) shared->error = error;
      if (shared->done.fetch_add(1) + 1 == count) shared->finished.notify_all();
    }
  };
  for (size_t i = 1; i < count; ++i) pool.Schedule(std::function<void()>(work));
  work();
  for (int i = 0; i < 2000 && shared->done.load() < count; ++i) __builtin_ia32_pause();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->finished.wait(lock, [&] { return shared->done.load() == count; });
  if (!shared->error.empty()) throw std::runtime_error(shared->error);
}

// The numbers by which a program describes what it wants.
template <typename Problem>
Problem described(ffi::Span<const int64_t> numbers) {
  Problem made;
  if (numbers.size() * sizeof(int64_t) != sizeof made)
    throw std::invalid_argument("described by another version of cnnlab");
  std::memcpy(&made, numbers.begin(), sizeof made);
  return made;
}

// A handler's answer: what `work` throws goes to XLA as an error that says whose it is.
template <typename Work>
ffi::Error guarded(const std::string& whose, const Work& work) {
  try {
    work();
  } catch (const std::exception& e) {
    return ffi::Error::Internal(whose + ": " + e.what());
  }
  return ffi::Error::Success();
}

// work(example), `example` being a number of the type that a map has.
template <typename Work>
void in_type(ffi::DataType type, const Work& work) {
  if (type == ffi::F32) {
    work(float{});
  } else if (type == ffi::BF16) {
    work(Bfloat16{});
  } else {
    throw std::invalid_argument("a map of neither float32 nor bfloat16");
  }
}

}  // namespace cnnlab
