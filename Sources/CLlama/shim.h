// llama.cpp's C API, from the static build that `make setup` leaves in the cache.
#include <llama.h>
#include <ggml.h>
#include <ggml-cpu.h>
#include <gguf.h>
