// Reads, and may replace, the residual stream after a block while llama.cpp computes.

import CLlama
import HSAESupport
import HSAETensors

/// The residual stream of a batch at the tap. llama.cpp owns the tensor: it is valid only during the call.
@safe
struct BlockRows: ~Copyable {
  /// Maps the tensor's rows to tokens.
  struct Layout {
    /// For each context, in the order of the batch: its first row, and its tokens from position `start` on.
    let parts: [(row: Int, context: Int, start: Int, tokens: [Int32])]
    let rowCount: Int
    let width: Int

    init(_ packed: PackedBatch, _ contexts: [[Int32]], width: Int) {
      var row = 0
      parts = packed.contexts.map { index in
        defer { row += packed.length }
        return (row, index, 0, contexts[index])
      }
      rowCount = row
      self.width = width
    }

    /// One row for each of `tokens`, which begin at position `start`.
    init(_ tokens: [Int32], at start: Int, width: Int) {
      parts = [(0, 0, start, tokens)]
      rowCount = tokens.count
      self.width = width
    }
  }

  let layout: Layout
  fileprivate let tensor: UnsafeMutablePointer<ggml_tensor>

  /// Copies the rows of part `part` to `target`, which has room for them.
  func read(_ part: Int, into target: UnsafeMutablePointer<Float>) {
    let (row, _, _, tokens) = layout.parts[part]
    // Safe: the tensor has `layout.rowCount` rows of `layout.width` floats, as `Tap.receive` checked.
    unsafe ggml_backend_tensor_get(
      tensor, target, row * layout.width * 4, tokens.count * layout.width * 4)
  }

  /// Replaces the rows of part `part` by those at `source`.
  func write(_ part: Int, from source: UnsafePointer<Float>) {
    let (row, _, _, tokens) = layout.parts[part]
    // Safe: as in `read`.
    unsafe ggml_backend_tensor_set(
      tensor, source, row * layout.width * 4, tokens.count * layout.width * 4)
  }
}

/// Watches for one tensor while a batch is computed. llama.cpp's tensors live for the call that passes them.
final class Tap {
  private var name: String?
  private var layout: BlockRows.Layout?
  private var consume: ((borrowing BlockRows) throws(Failure) -> Bool)?
  private var isSeen = false
  private var failure: Failure?

  /// Watches for the output of block `block` in the next batch; if nil, for nothing.
  func place(
    block: Int?, _ layout: BlockRows.Layout,
    _ consume: @escaping (borrowing BlockRows) throws(Failure) -> Bool
  ) {
    // llama.cpp's name of what all architectures compute last in a block.
    name = block.map { "l_out-\($0)" }
    (self.layout, self.consume) = (layout, consume)
    (isSeen, failure) = (false, nil)
  }

  /// Ends watching. Returns whether the tensor was seen, and any failure on the way.
  func remove() -> (isSeen: Bool, failure: Failure?) {
    (name, layout, consume) = (nil, nil, nil)
    return (isSeen, failure)
  }

  func isPlaced(at tensor: UnsafeMutablePointer<ggml_tensor>) -> Bool {
    guard let name, let other = unsafe ggml_get_name(tensor) else { return false }
    return unsafe String(cString: other) == name
  }

  /// Passes the rows of `tensor` on; returns whether the computation should go on.
  func receive(_ tensor: UnsafeMutablePointer<ggml_tensor>) -> Bool {
    guard let layout, let consume else { return false }
    // Safe: llama.cpp calls this with a tensor that it has just computed.
    let (columns, rows) = unsafe (tensor.pointee.ne.0, tensor.pointee.ne.1)
    guard unsafe tensor.pointee.type == GGML_TYPE_F32, unsafe ggml_is_contiguous(tensor),
      columns == layout.width, rows == layout.rowCount, !isSeen
    else {
      failure = Failure(
        .software,
        "llama.cpp computed \(rows) rows of \(columns) numbers where \(layout.rowCount) of"
          + " \(layout.width) 32-bit floats were expected; this architecture is not supported.")
      return false
    }
    isSeen = true
    do throws(Failure) {
      return try unsafe consume(BlockRows(layout: layout, tensor: tensor))
    } catch {
      failure = error
      return false
    }
  }
}
