#include "hsae_kernels.h"
