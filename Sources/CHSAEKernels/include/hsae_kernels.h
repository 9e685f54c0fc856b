// The innermost loops, in plain C, compiled once per instruction set and chosen at run time.
#ifndef HSAE_KERNELS_H
#define HSAE_KERNELS_H
#endif
