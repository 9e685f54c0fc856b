// Dense products of tiles through oneDNN, in fp32 or bf16 with fp32 sums. `init` makes the primitives;
// running one allocates nothing. Callers cut a big product into tiles that one thread each runs, so results
// do not depend on the number of threads.

internal import CDNNL
internal import CHSAEKernels

/// The arithmetic of the big dense products. Master weights are always fp32.
public enum Precision: String, Sendable, Codable, CaseIterable {
  /// Everything in fp32.
  case float32
  /// Factors of dense products rounded to bf16, sums in fp32.
  case bfloat16

  /// bf16 if the processor multiplies it in hardware, else fp32.
  public static var best: Precision { hsae_has_bfloat16() != 0 ? .bfloat16 : .float32 }
}

/// The layout of a factor in memory: element (i, j) is at `i · rowStride + j · columnStride`.
public struct TileLayout: Hashable, Sendable {
  /// Elements between rows.
  public var rowStride: Int
  /// Elements between columns.
  public var columnStride: Int

  /// Row-major with `stride` elements between rows.
  public static func rows(_ stride: Int) -> TileLayout {
    TileLayout(rowStride: stride, columnStride: 1)
  }
  /// The transpose of a row-major matrix with `stride` elements between its rows.
  public static func transposed(_ stride: Int) -> TileLayout {
    TileLayout(rowStride: 1, columnStride: stride)
  }
}

// Safe: `init` makes all handles, only `deinit` destroys them, and none leaves this file. A run changes only
// the memory objects and the scratch memory of its worker.
/// C = A·B, or C += A·B, for tiles A [M × K] and B [K × N] of fixed largest sizes.
///
/// Several workers may run one object at once, each with its own `worker` number.
@safe
public final class TileProduct: @unchecked Sendable {
  /// Largest M.
  public let maxRows: Int

  // Safe: only `run` reads the handles.
  @unsafe
  private struct Variant {
    let rows: Int
    let columns: Int
    let primitive: dnnl_primitive_t
    /// Four memory objects (A, B, C, scratch) for each worker; a run sets their addresses.
    let memories: [dnnl_memory_t]
  }

  private let engine: dnnl_engine_t
  private let stream: dnnl_stream_t
  private let isBFloat16: Bool
  private let scratchpads: [UnsafeMutableRawPointer]
  private var variants: [Variant] = unsafe []

  /// Prepares products with M in `rowSizes` and N in `columnSizes`.
  ///
  /// - Parameters:
  ///   - rowSizes: the values of M, usually a tile's and the last tile's.
  ///   - columnSizes: the values of N.
  ///   - depth: K.
  ///   - a: the layout of A.
  ///   - b: the layout of B.
  ///   - cStride: elements between the rows of C.
  ///   - precision: the type of A's and B's elements: Float, or bf16 as UInt16. C is always Float.
  ///   - accumulate: whether a run adds to C instead of overwriting it.
  ///   - workers: how many workers may run it at once.
  public init(
    rowSizes: Set<Int>, columnSizes: Set<Int>, depth: Int, a: TileLayout, b: TileLayout,
    cStride: Int, precision: Precision, accumulate: Bool = false, workers: Int
  ) {
    // oneDNN sizes scratch memory by the number of threads where a primitive is created and uses the number
    // where it runs. Both must be one, or a product could write beyond its scratch memory.
    hsae_single_openmp_thread()
    maxRows = rowSizes.max() ?? 0
    // Safe, to the end of `init`: oneDNN writes to variables of this function during the call, its status is
    // checked, and descriptions that a call reads are still in scope.
    var engine: dnnl_engine_t?
    var stream: dnnl_stream_t?
    unsafe check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine")
    guard let engine = unsafe engine else { preconditionFailure("oneDNN has no CPU engine.") }
    unsafe check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags.rawValue), "stream")
    guard let stream = unsafe stream else { preconditionFailure("oneDNN made no stream.") }
    unsafe self.engine = engine
    unsafe self.stream = stream

    isBFloat16 = precision == .bfloat16
    let type = isBFloat16 ? dnnl_bf16 : dnnl_f32
    var scratchBytes = 64
    var built: [Variant] = unsafe []
    for rows in rowSizes.sorted() where rows > 0 {
      for columns in columnSizes.sorted() where columns > 0 {
        var source = descriptor(rows, depth, a.rowStride, a.columnStride, type)
        var weights = descriptor(depth, columns, b.rowStride, b.columnStride, type)
        var target = descriptor(rows, columns, cStride, 1, dnnl_f32)
        var operation = dnnl_matmul_desc_t()
        unsafe check(
          dnnl_matmul_desc_init(&operation, &source, &weights, nil, &target), "matmul descriptor")
        var attributes: dnnl_primitive_attr_t?
        unsafe check(dnnl_primitive_attr_create(&attributes), "attributes")
        unsafe check(
          dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "scratch")
        if accumulate {
          var post: dnnl_post_ops_t?
          unsafe check(dnnl_post_ops_create(&post), "post-ops")
          unsafe check(dnnl_post_ops_append_sum(post, 1), "sum")
          unsafe check(dnnl_primitive_attr_set_post_ops(attributes, post), "post-ops")
          unsafe dnnl_post_ops_destroy(post)
        }
        var description: dnnl_primitive_desc_t?
        unsafe check(
          dnnl_primitive_desc_create(&description, &operation, attributes, engine, nil),
          "matmul \(rows) × \(depth) × \(columns)")
        unsafe dnnl_primitive_attr_destroy(attributes)
        var primitive: dnnl_primitive_t?
        unsafe check(dnnl_primitive_create(&primitive, description), "matmul")
        guard let primitive = unsafe primitive else {
          preconditionFailure("oneDNN made no matmul.")
        }
        let scratch = unsafe dnnl_primitive_desc_query_md(
          description, dnnl_query_scratchpad_md, 0)
        unsafe scratchBytes = max(scratchBytes, Int(dnnl_memory_desc_get_size(scratch)))
        var memories: [dnnl_memory_t] = unsafe []
        for _ in 0..<workers {
          unsafe memories.append(memoryObject(&source, engine))
          unsafe memories.append(memoryObject(&weights, engine))
          unsafe memories.append(memoryObject(&target, engine))
          unsafe memories.append(memoryObject(scratch, engine))
        }
        unsafe dnnl_primitive_desc_destroy(description)
        unsafe built.append(
          Variant(rows: rows, columns: columns, primitive: primitive, memories: memories))
      }
    }
    unsafe self.scratchpads = (0..<workers).map { _ in
      UnsafeMutableRawPointer.allocate(byteCount: scratchBytes, alignment: 64)
    }
    unsafe variants = built
  }

  // Safe: nothing runs any more, and each handle is destroyed once.
  deinit {
    unsafe variants.forEach { variant in
      unsafe variant.memories.forEach { unsafe dnnl_memory_destroy($0) }
      unsafe dnnl_primitive_destroy(variant.primitive)
    }
    unsafe dnnl_stream_destroy(stream)
    unsafe dnnl_engine_destroy(engine)
    unsafe scratchpads.forEach { unsafe $0.deallocate() }
  }

  /// Runs one tile on the calling thread. `rows` and `columns` must be among the prepared sizes.
  ///
  /// - Safety: `a`, `b` and `c` must hold tiles of the prepared layouts and types; `worker` must not
  ///   be in use on another thread.
  @unsafe
  public func run(
    rows: Int, columns: Int, a: UnsafeRawPointer, b: UnsafeRawPointer,
    c: UnsafeMutablePointer<Float>, worker: Int
  ) {
    guard
      let index = unsafe variants.firstIndex(where: {
        unsafe $0.rows == rows && $0.columns == columns
      })
    else { preconditionFailure("No product of \(rows) × \(columns) was prepared.") }
    hsae_single_openmp_thread()
    let base = worker * 4
    // Safe: objects and scratch memory are the worker's, and the caller vouches for the tiles.
    unsafe withUnsafeTemporaryAllocation(of: dnnl_exec_arg_t.self, capacity: 4) { arguments in
      let variant = unsafe variants[index]
      unsafe dnnl_memory_set_data_handle(
        variant.memories[base], UnsafeMutableRawPointer(mutating: a))
      unsafe dnnl_memory_set_data_handle(
        variant.memories[base + 1], UnsafeMutableRawPointer(mutating: b))
      unsafe dnnl_memory_set_data_handle(variant.memories[base + 2], UnsafeMutableRawPointer(c))
      unsafe dnnl_memory_set_data_handle(variant.memories[base + 3], scratchpads[worker])
      unsafe arguments[0] = dnnl_exec_arg_t(arg: DNNL_ARG_SRC, memory: variant.memories[base])
      unsafe arguments[1] = dnnl_exec_arg_t(
        arg: DNNL_ARG_WEIGHTS, memory: variant.memories[base + 1])
      unsafe arguments[2] = dnnl_exec_arg_t(arg: DNNL_ARG_DST, memory: variant.memories[base + 2])
      unsafe arguments[3] = dnnl_exec_arg_t(
        arg: DNNL_ARG_SCRATCHPAD, memory: variant.memories[base + 3])
      // oneDNN divides AMX's tile registers as it needs them and then gives them up. ggml divides them once for each
      // thread and relies on that from then on, so they are left as they were found.
      var tiles = isBFloat16 ? hsae_tile_configuration_now() : hsae_tile_configuration()
      unsafe check(
        dnnl_primitive_execute(variant.primitive, stream, 4, arguments.baseAddress), "execution")
      unsafe hsae_restore_tile_configuration(&tiles)
    }
  }
}

// Safe: the description is in scope during the call, and the status is checked.
private func memoryObject(
  _ description: UnsafePointer<dnnl_memory_desc_t>?, _ engine: dnnl_engine_t
) -> dnnl_memory_t {
  var memory: dnnl_memory_t?
  unsafe check(dnnl_memory_create(&memory, description, engine, nil), "memory")
  guard let memory = unsafe memory else { preconditionFailure("oneDNN made no memory.") }
  return unsafe memory
}

private func descriptor(
  _ rows: Int, _ columns: Int, _ rowStride: Int, _ columnStride: Int, _ type: dnnl_data_type_t
) -> dnnl_memory_desc_t {
  var result = dnnl_memory_desc_t()
  let sizes: [dnnl_dim_t] = [dnnl_dim_t(rows), dnnl_dim_t(columns)]
  let strides: [dnnl_dim_t] = [dnnl_dim_t(rowStride), dnnl_dim_t(columnStride)]
  // Safe: both arrays have two elements, and oneDNN copies them.
  unsafe check(
    dnnl_memory_desc_init_by_strides(&result, 2, sizes, type, strides), "memory descriptor")
  return result
}

/// oneDNN fails only when the library or this file is at fault, never because of data.
private func check(_ status: dnnl_status_t, _ what: String) {
  precondition(status == dnnl_success, "oneDNN failed (\(what)): status \(status.rawValue).")
}
