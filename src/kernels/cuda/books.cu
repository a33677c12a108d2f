// The codebooks of the I types on the device.
#include "codecs/iq_codebooks.h"
#include "kernels/cuda/matmul.h"

namespace pare::cuda {
namespace {

// Copies a codebook to `memory + at` and moves on.
template <typename Book>
const uint8_t* put(Stream& stream, const Book& book, uint8_t* memory, uint64_t* at) {
  uint8_t* to = memory + *at;
  stream.note(
      cudaMemcpyAsync(to, book.data(), sizeof(book), cudaMemcpyHostToDevice, stream.handle));
  *at += sizeof(book);
  return to;
}

}  // namespace

uint64_t book_bytes() {
  return sizeof(kIq1Book) + sizeof(kIq2XxsBook) + sizeof(kIq2XsBook) + sizeof(kIq2SBook) +
         sizeof(kIq3XxsBook) + sizeof(kIq3SBook);
}

Books upload_books(Stream& stream, uint8_t* memory) {
  uint64_t at = 0;
  Books books;
  books.iq1 = put(stream, kIq1Book, memory, &at);
  books.iq2_xxs = put(stream, kIq2XxsBook, memory, &at);
  books.iq2_xs = put(stream, kIq2XsBook, memory, &at);
  books.iq2_s = put(stream, kIq2SBook, memory, &at);
  books.iq3_xxs = put(stream, kIq3XxsBook, memory, &at);
  books.iq3_s = put(stream, kIq3SBook, memory, &at);
  return books;
}

}  // namespace pare::cuda
