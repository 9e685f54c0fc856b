// Adam's moments in a checkpoint's `optimizer.safetensors`: the tensors of the weights, once with the prefix
// "first." and once with "second.", in the format they have in memory.

internal import HSAEActivations
internal import HSAEModels
internal import HSAESupport
internal import HSAETensors

extension Moments {
  private var prefixed: [(prefix: String, arrays: Arrays)] {
    [("first.", first), ("second.", second)]
  }

  /// The moments' tensors, as a writer declares them.
  var declarations: [SafetensorsWriter.Tensor] {
    prefixed.flatMap { prefix, _ in
      WeightsFile.declarations(
        shape, vectors, prefix: prefix,
        type: format == .bfloat16 ? .bfloat16 : .float32)
    }
  }

  /// Appends all moments to `writer`, which has declared them.
  func append(to writer: inout SafetensorsWriter) throws(Failure) {
    for (prefix, arrays) in prefixed {
      for name in ParameterName.names(in: shape, vectors: vectors) {
        let (layout, full) = (RowLayout(name, shape), prefix + name.rawValue)
        let index = layout.part.rawValue
        for range in (0..<layout.experts).map(layout.target) {
          switch format {
          case .float32:
            try arrays.float32[index].withMutableSpan(range) { span throws(Failure) in
              try writer.append(full, span.span)
            }
          case .bfloat16:
            try arrays.bfloat16[index].withMutableSpan(range) { span throws(Failure) in
              // Safe: UInt16 has no padding bytes.
              unsafe try writer.append(full, bytes: span.span.bytes)
            }
          }
        }
      }
    }
  }

  /// Reads the moments of `experts` of a dictionary of `whole` from `shards`.
  func read(
    from shards: TensorShards, _ experts: Range<Int>, of whole: DictionaryShape
  ) throws(Failure) {
    for (prefix, arrays) in prefixed {
      for name in ParameterName.names(in: shape, vectors: vectors) {
        try shards.forEachExpert(of: experts, name, prefix: prefix, in: whole) {
          file, tensor, layout, place, expert throws(Failure) in
          let index = layout.part.rawValue
          let (elements, range) = (layout.source(place), layout.target(expert))
          switch format {
          case .float32:
            try arrays.float32[index].withMutableSpan(range) { span throws(Failure) in
              try file.read(tensor, elements: elements, into: &span)
            }
          case .bfloat16:
            var numbers = [Float](repeating: 0, count: range.count)
            var floats = numbers.mutableSpan
            try file.read(tensor, elements: elements, into: &floats)
            arrays.bfloat16[index].withMutableSpan(range) { span in
              for place in span.indices {
                span[place] = UInt16(numbers[place].bitPattern >> 16)
              }
            }
          }
        }
      }
      shards.releasePages()
    }
  }
}
