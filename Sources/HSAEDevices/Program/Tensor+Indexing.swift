// Tensors addressed by numbers that the program computes: the largest of a row, rows of a table, sums into places.

extension Tensor {
  /// The `count` largest of each row [rows × n], and their places, as i32.
  func largest(_ count: Int) -> (values: Tensor, places: Tensor) {
    let shape = Array(self.shape.dropLast()) + [count]
    // The generic form: plugins of 0.81 do not read the short one. Not stable, because a stable one sorts the whole row.
    return writer.appendPair((shape, .f32), (shape, .i32)) {
      "\"chlo.top_k\"(\(name)) <{k = \(count) : i64, is_stable = false}> : (\(typeText)) -> (\($0), \($1))"
    }
  }

  /// The rows `places` of this table: places' shape, then the sides after the first.
  func rows(_ places: Tensor) -> Tensor {
    let (tail, depth) = (Array(shape.dropFirst()), places.shape.count)
    let indices = places.reshaped(places.shape + [1])
    let sizes = ([1] + tail).map(String.init).joined(separator: ", ")
    return writer.append(places.shape + tail, type) {
      "\"stablehlo.gather\"(\(name), \(indices.name)) <{dimension_numbers = #stablehlo.gather<offset_dims = "
        + "\(tail.indices.map { $0 + depth }), collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = "
        + "\(depth)>, indices_are_sorted = false, slice_sizes = array<i64: \(sizes)>}> : (\(typeText), "
        + "\(indices.typeText)) -> \($0)"
    }
  }

  /// A table of `shape`, zero but for the sums of this tensor's rows at `places`: the transpose of `rows`.
  func summed(at places: Tensor, into shape: [Int]) -> Tensor {
    let depth = places.shape.count
    return scattered(
      into: constant(0).spread(shape), places,
      "update_window_dims = \(Array(depth..<self.shape.count)), inserted_window_dims = [0],"
        + " scatter_dims_to_operand_dims = [0], index_vector_dim = \(depth)", isUnique: false)
  }

  /// `base` [rows × n] with this tensor [rows × k] added at the `places` [rows × k] of each row, which differ.
  func added(to base: Tensor, alongRowsAt places: Tensor) -> Tensor {
    scattered(
      into: base, places,
      "inserted_window_dims = [1], input_batching_dims = [0], scatter_indices_batching_dims = [0],"
        + " scatter_dims_to_operand_dims = [1], index_vector_dim = 2", isUnique: true)
  }

  private func scattered(
    into base: Tensor, _ places: Tensor, _ numbers: String, isUnique: Bool
  ) -> Tensor {
    let indices = places.reshaped(places.shape + [1])
    let scalar = typeName([], type)
    return writer.append(base.shape, type) {
      """
      "stablehlo.scatter"(\(base.name), \(indices.name), \(name)) <{indices_are_sorted = false, \
      scatter_dimension_numbers = #stablehlo.scatter<\(numbers)>, unique_indices = \(isUnique)}> ({
          ^bb0(%a: \(scalar), %b: \(scalar)):
            %s = stablehlo.add %a, %b : \(scalar)
            stablehlo.return %s : \(scalar)
          }) : (\(base.typeText), \(indices.typeText), \(typeText)) -> \($0)
      """
    }
  }
}
