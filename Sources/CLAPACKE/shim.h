// LAPACKE, for one routine: the symmetric eigenproblem (ssyevd / dsyevd). The complex types are
// declared opaque because Swift imports none of C99's.
#define LAPACK_COMPLEX_CUSTOM
typedef struct { float real, imaginary; } lapack_complex_float;
typedef struct { double real, imaginary; } lapack_complex_double;
#include <lapacke.h>
