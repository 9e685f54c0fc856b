/* llama.cpp's own prompt rate up to a block, without hsae: batches of full contexts, each ended when the
   output of the block is computed. `runs/collect-rate.sh` compares `hsae collect` with this rate.

     prompt-rate MODEL.gguf BLOCK CONTEXT SEQUENCES THREADS SECONDS

   Prints tokens per second. */

#include <ggml.h>
#include <llama.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char block_name[64];

static bool stop_after_block(struct ggml_tensor *tensor, bool ask, void *data) {
  (void)data;
  bool found = strcmp(tensor->name, block_name) == 0;
  return ask ? found : !found;
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
  (void)data;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int count, char **arguments) {
  if (count != 7) {
    fprintf(stderr, "usage: prompt-rate MODEL BLOCK CONTEXT SEQUENCES THREADS SECONDS\n");
    return 64;
  }
  int context_length = atoi(arguments[3]), sequences = atoi(arguments[4]);
  int threads = atoi(arguments[5]), tokens = context_length * sequences;
  double limit = atof(arguments[6]);
  snprintf(block_name, sizeof block_name, "l_out-%d", atoi(arguments[2]));
  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model *model =
      llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (!model) return 65;
  struct llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = (unsigned)tokens;
  parameters.n_seq_max = parameters.n_outputs_max = (unsigned)sequences;
  parameters.n_threads = parameters.n_threads_batch = threads;
  parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  parameters.kv_unified = false;
  parameters.cb_eval = stop_after_block;
  struct llama_context *context = llama_init_from_model(model, parameters);
  if (!context) return 70;

  int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  struct llama_batch batch = llama_batch_init(tokens, 0, 1);
  batch.n_tokens = tokens;
  for (int i = 0; i < tokens; i++) {
    batch.token[i] = (int)((unsigned)i * 2654435761u % (unsigned)vocabulary);
    batch.pos[i] = i % context_length;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = i / context_length;
    batch.logits[i] = 0;
  }
  double start = 0;
  long done = -1; /* the first batch warms up */
  while (done < 1 || now() - start < limit) {
    llama_memory_clear(llama_get_memory(context), false);
    if (llama_decode(context, batch) != 0) return 70;
    if (done++ < 0) start = now();
  }
  printf("%.0f\n", (double)(done * tokens) / (now() - start));
  return 0;
}
