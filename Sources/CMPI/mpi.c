// Implements include/hsae_mpi.h. Ranks send pieces directly to each other; MPI chooses the way, in a
// machine and between machines.
#include "hsae_mpi.h"

#ifdef HSAE_MPI
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

// MPI counts bytes in int, so larger pieces are split.
enum { MOST_BYTES = 1 << 30, TAG = 7 };

int hsae_mpi_start(int *world) {
  int provided = 0;
  int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
  if (code != MPI_SUCCESS) return code;
  *world = MPI_Comm_c2f(MPI_COMM_WORLD);
  return MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

void hsae_mpi_finish(void) { MPI_Finalize(); }

void hsae_mpi_abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  _Exit(code);
}

int hsae_mpi_place(int communicator, int *rank, int *size) {
  MPI_Comm own = MPI_Comm_f2c(communicator);
  int code = MPI_Comm_rank(own, rank);
  return code != MPI_SUCCESS ? code : MPI_Comm_size(own, size);
}

int hsae_mpi_split(int communicator, int color, int *result) {
  MPI_Comm own = MPI_Comm_f2c(communicator), part;
  int code = MPI_Comm_split(own, color, 0, &part);
  if (code != MPI_SUCCESS) return code;
  *result = MPI_Comm_c2f(part);
  return MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN);
}

static size_t messages(ptrdiff_t bytes) { return (size_t)((bytes + MOST_BYTES - 1) / MOST_BYTES); }

int hsae_mpi_exchange(int communicator, const void *source, const ptrdiff_t *out_begin,
                      const ptrdiff_t *out_end, void *target, const ptrdiff_t *in_begin,
                      const ptrdiff_t *in_end) {
  MPI_Comm own = MPI_Comm_f2c(communicator);
  int rank, size;
  int code = hsae_mpi_place(communicator, &rank, &size);
  if (code != MPI_SUCCESS) return code;
  size_t total = 0;
  for (int other = 0; other < size; other++)
    total += messages(out_end[other] - out_begin[other]) + messages(in_end[other] - in_begin[other]);
  MPI_Request *requests = malloc((total + 1) * sizeof *requests);
  if (requests == NULL) return MPI_ERR_NO_MEM;
  size_t count = 0;
  // Each rank begins with its neighbour, so that not all send to the same rank at once.
  for (int step = 1; step < size && code == MPI_SUCCESS; step++) {
    int from = (rank - step + size) % size;
    for (ptrdiff_t at = in_begin[from]; at < in_end[from] && code == MPI_SUCCESS; at += MOST_BYTES) {
      ptrdiff_t left = in_end[from] - at;
      code = MPI_Irecv((char *)target + at, (int)(left < MOST_BYTES ? left : MOST_BYTES), MPI_BYTE,
                       from, TAG, own, &requests[count++]);
    }
  }
  for (int step = 1; step < size && code == MPI_SUCCESS; step++) {
    int to = (rank + step) % size;
    for (ptrdiff_t at = out_begin[to]; at < out_end[to] && code == MPI_SUCCESS; at += MOST_BYTES) {
      ptrdiff_t left = out_end[to] - at;
      code = MPI_Isend((const char *)source + at, (int)(left < MOST_BYTES ? left : MOST_BYTES),
                       MPI_BYTE, to, TAG, own, &requests[count++]);
    }
  }
  if (code == MPI_SUCCESS) code = MPI_Waitall((int)count, requests, MPI_STATUSES_IGNORE);
  free(requests);
  return code;
}

void hsae_mpi_text(int code, char *text, size_t size) {
  char whole[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, whole, &length) != MPI_SUCCESS) length = 0;
  size_t count = (size_t)length < size - 1 ? (size_t)length : size - 1;
  memcpy(text, whole, count);
  text[count] = 0;
}
#endif
