// The MPI calls that HSAEDistribution needs, without MPI's own types, which Swift cannot import: a
// communicator is its Fortran integer handle. Functions of type int return MPI's error code, 0 for
// success; only hsae_mpi_abort ends the process. Empty unless the package trait MPI is on.
#pragma once
#include <stddef.h>

/// Starts MPI so that errors are returned, and stores the world's handle in `world`.
int hsae_mpi_start(int *world);
/// Ends MPI. Every rank must call this or hsae_mpi_abort.
void hsae_mpi_finish(void);
/// Ends all ranks with an exit code.
void hsae_mpi_abort(int code);
/// Stores this process's number and the number of processes.
int hsae_mpi_place(int communicator, int *rank, int *size);
/// Makes a communicator of the ranks with the same color, in the same order.
int hsae_mpi_split(int communicator, int color, int *result);
/// Sends bytes [out_begin[r], out_end[r]) of `source` to every other rank r and receives
/// [in_begin[r], in_end[r]) of `target` from it.
int hsae_mpi_exchange(int communicator, const void *source, const ptrdiff_t *out_begin,
                      const ptrdiff_t *out_end, void *target, const ptrdiff_t *in_begin,
                      const ptrdiff_t *in_end);
/// Describes an error code in `text`, which has room for `size` characters.
void hsae_mpi_text(int code, char *text, size_t size);
