// Names of hook points. SAELens and its neighbours use those of TransformerLens; other tools use names of modules.

/// Names of hook points in TransformerLens, such as `blocks.12.hook_resid_post`.
public enum HookName {
  /// TransformerLens's name of the hook point `name`, which may be a module's name; nil if there is none or if it is
  /// not certain.
  ///
  /// The output of block 10 (`layers.10`, `model.layers.10.output`, `transformer.h.10`) is `blocks.10.hook_resid_post`.
  /// The output of an MLP or of attention (`layers.10.mlp`) has no certain name: some models normalise it before it
  /// is added to the residual stream, and TransformerLens means what is added.
  public static func transformerLens(_ name: String) -> String? {
    if isTransformerLens(name) { return name }
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)[...]
    while let first = parts.first, containers.contains(first) { parts.removeFirst() }
    guard parts.count >= 2, ["layers", "h"].contains(parts.removeFirst()),
      let block = number(parts.removeFirst())
    else { return nil }
    switch parts.joined(separator: ".") {
    case "", "output": return "blocks.\(block).hook_resid_post"
    case "self_attn.o_proj.input": return "blocks.\(block).attn.hook_z"
    // Gemma's norm of what the MLP adds.
    case "post_feedforward_layernorm.output": return "blocks.\(block).hook_mlp_out"
    default: return nil
    }
  }

  private static let containers: Set<Substring> = [
    "model", "language_model", "transformer", "gpt_neox", "base_model", "decoder",
  ]

  private static func isTransformerLens(_ name: String) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let last = parts.last, last.hasPrefix("hook_"), last.utf8.count > 5,
      parts.allSatisfy({ !$0.isEmpty }),
      name.utf8.allSatisfy({
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
          || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
      })
    else { return false }
    return parts.count == 1 || parts[0] == "ln_final"
      || parts[0] == "blocks" && parts.count >= 3 && number(parts[1]) != nil
  }

  /// The number of a block.
  private static func number(_ text: Substring) -> Int? {
    guard (1...4).contains(text.utf8.count),
      text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
    else { return nil }
    return Int(text)
  }
}
