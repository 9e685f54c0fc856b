// The keys of a cfg.json of SAELens, from version 2 on: those that the import reads, those that change numbers in a
// way that hsae cannot represent, and those that change none.

enum SAELensKeys {
  /// Keys that change codes or reconstructions and have no counterpart here.
  static let refused = [
    "signed", "tied_weights", "is_transcoder", "transcoder", "hook_point_out", "out_hook_point",
    "hook_layer_out",
    "skip_connection",
  ]

  /// Arguments of the activation function that are read, or that change only how it is computed.
  static let functionArguments: Set<String> = ["k", "use_sparse_activations"]

  /// The arrays of an SAE. Others are parts of architectures that are refused, or of none that is known.
  static let arrays: Set<String> = [
    "W_enc", "b_enc", "W_dec", "b_dec",
    "scaling_factor",
    "finetuning_scaling_factor",
  ]

  /// Keys that are read, and keys that describe the training or the model.
  static let known: Set<String> = Set(refused).union([
    // Read.
    "architecture", "activation_fn", "activation_fn_str", "activation_fn_kwargs", "d_in", "d_out",
    "d_sae", "dtype",
    "k", "apply_b_dec_to_input", "normalize_activations", "reshape_activations",
    "rescale_acts_by_decoder_norm",
    "finetuning_scaling_factor", "metadata", "model_name", "hook_name", "hook_point",
    "hook_head_index",
    "hook_name_out", "hook_head_index_out", "hook_point_head_index", "n_experts", "n_sublatents",
    "threshold",
    "sub_threshold", "slope", "sub_slope",
    // The model, its rows, and where things are computed.
    "model_class_name", "model_kwargs", "model_from_pretrained_kwargs", "hook_layer",
    "hook_point_layer", "hook_eval",
    "hook_point_eval", "hf_hook_name", "hf_hook_name_out", "neuronpedia_id", "device", "llm_device",
    "act_store_device", "seed", "sae_lens_version", "sae_lens_training_version", "autocast",
    "autocast_lm",
    "compile_llm", "llm_compilation_mode", "compile_sae", "sae_compilation_mode",
    "use_sparse_activations", "verbose",
    // Texts and batches.
    "dataset_path", "dataset_trust_remote_code", "is_dataset_tokenized", "streaming",
    "context_size", "prepend_bos",
    "exclude_special_tokens", "seqpos_slice", "use_chat_formatting", "disable_concat_sequences",
    "sequence_separator_token", "use_cached_activations", "cached_activations_path",
    "from_pretrained_path",
    "n_batches_in_buffer", "store_batch_size", "store_batch_size_prompts", "train_batch_size",
    "train_batch_size_tokens", "activations_mixing_fraction", "prefetch_llm_batches",
    "normalize_dataset",
    "n_batches_for_norm_estimate", "eval_batch_size_prompts", "n_eval_batches", "training_tokens",
    "total_training_tokens", "total_training_steps", "tokens_per_buffer", "finetuning_tokens",
    "finetuning_method",
    // The optimizer and the loss.
    "lr", "lr_end", "lr_scheduler_name", "lr_warm_up_steps", "lr_decay_steps", "n_restart_cycles",
    "adam_beta1",
    "adam_beta2", "l1_coefficient", "lp_norm", "l1_warm_up_steps", "l0_coefficient", "l0_lambda",
    "l0_warm_up_steps",
    "target_l0", "mse_loss_normalization", "use_ghost_grads",
    "scale_sparsity_penalty_by_decoder_norm",
    "normalize_sae_decoder", "noise", "b_dec_init_method", "expansion_factor",
    "init_encoder_as_decoder_transpose",
    "decoder_orthogonal_init", "decoder_heuristic_init", "decoder_heuristic_init_norm",
    "decoder_init_norm",
    "aux_loss_coefficient", "topk_threshold_lr", "matryoshka_widths", "use_matryoshka_aux_loss",
    "jumprelu_init_threshold", "jumprelu_bandwidth", "jumprelu_sparsity_loss_mode",
    "jumprelu_tanh_scale",
    "jumprelu_ste_to_input", "pre_act_loss_coefficient", "dead_feature_window",
    "dead_feature_threshold",
    "feature_sampling_method", "feature_sampling_window", "feature_reinit_scale",
    // Records.
    "log_to_wandb", "log_activations_store_to_wandb", "log_optimizer_state_to_wandb",
    "log_weights_to_wandb",
    "wandb_project", "wandb_id", "wandb_entity", "wandb_log_frequency", "run_name", "logger",
    "eval_every_n_wandb_logs",
    "n_checkpoints", "checkpoint_path", "save_final_checkpoint", "output_path", "resume",
    "resume_from_checkpoint",
  ])
}
