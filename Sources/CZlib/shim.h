// zlib: what gzip-compressed corpora are read through.
#include <zlib.h>
