// The state of training between host and device. The host has it as `TrainingState`, in the layout of the CPU engine;
// the device has an array for each tensor, in the shapes of the method, as files have them.

internal import HSAEDevices
internal import HSAEModels
public import HSAESupport
internal import HSAETensors

extension PJRTBackend {
  /// The state's arrays on the device, in the order of the program's arguments; copies them there first if need be.
  func stateOnDevice() throws(Failure) -> [DeviceArray] {
    switch place {
    case .device(let arrays, _): return arrays
    case .lost: throw Self.lostState
    case .host: break
    }
    var arrays: [DeviceArray] = []
    for numbers in [Numbers.weights, .firstMoments, .secondMoments] {
      for (name, shape) in zip(step.names, step.shapes) {
        arrays.append(try client.array(elements(numbers, name), shape))
      }
    }
    let usage = state.usage
    arrays.append(try client.array(usage.latentLastActive, step.usageShapes[0]))
    arrays.append(try client.array(usage.latentRate, step.usageShapes[1]))
    if !recipe.shape.isFlat {
      arrays.append(try client.array(usage.sublatentLastActive, step.usageShapes[2]))
      arrays.append(try client.array(usage.sublatentRate, step.usageShapes[3]))
    }
    place = .device(arrays, isCopied: true)
    return arrays
  }

  /// Copies the newest state to the host.
  public func updateState() throws(Failure) {
    switch place {
    case .host, .device(_, isCopied: true): return
    case .lost: throw Self.lostState
    case .device(let arrays, isCopied: false):
      var next = arrays.makeIterator()
      func elements<Element: DeviceElement>() throws(Failure) -> [Element] {
        guard let array = next.next() else { preconditionFailure("The state has too few arrays.") }
        return try array.elements()
      }
      for numbers in [Numbers.weights, .firstMoments, .secondMoments] {
        for name in step.names { set(numbers, name, to: try elements()) }
      }
      state.usage.latentLastActive = try elements()
      state.usage.latentRate = try elements()
      if !recipe.shape.isFlat {
        state.usage.sublatentLastActive = try elements()
        state.usage.sublatentRate = try elements()
      }
      place = .device(arrays, isCopied: true)
    }
  }

  private static var lostState: Failure {
    Failure(
      .unavailable,
      "The device failed in an earlier step and the state of training went with it; continue from the last checkpoint."
    )
  }

  /// The three sets of numbers that the dictionary's tensors have.
  private enum Numbers {
    case weights, firstMoments, secondMoments
  }

  private func moments(_ numbers: Numbers) -> Moments.Arrays {
    numbers == .firstMoments ? state.moments.first : state.moments.second
  }

  /// The elements of the tensor `name`, in its order.
  private func elements(_ numbers: Numbers, _ name: ParameterName) -> [Float] {
    let layout = RowLayout(name, recipe.shape)
    if numbers == .weights { return state.parameters.elements(layout) }
    var result: [Float] = []
    let buffer = moments(numbers).float32[layout.part.rawValue]
    buffer.withMutableSpan(0..<buffer.count) { span in result = layout.elements(of: span.span) }
    return result
  }

  /// Sets the tensor `name` to `elements`.
  private func set(_ numbers: Numbers, _ name: ParameterName, to elements: [Float]) {
    let layout = RowLayout(name, recipe.shape)
    if numbers == .weights { return state.parameters.set(layout, to: elements) }
    let buffer = moments(numbers).float32[layout.part.rawValue]
    buffer.withMutableSpan(0..<buffer.count) { span in layout.set(&span, to: elements) }
  }
}

extension Parameters {
  fileprivate func elements(_ layout: RowLayout) -> [Float] {
    layout.elements(of: self[layout.part].span)
  }

  fileprivate mutating func set(_ layout: RowLayout, to elements: [Float]) {
    var span = self[layout.part].mutableSpan
    layout.set(&span, to: elements)
  }
}

extension RowLayout {
  /// The elements of the tensor in the matrix `source`, in the tensor's order.
  fileprivate func elements(of source: borrowing Span<Float>) -> [Float] {
    var result: [Float] = []
    result.reserveCapacity(experts * count)
    for expert in 0..<experts {
      for index in target(expert) { result.append(source[index]) }
    }
    return result
  }

  /// Sets the elements of the tensor in the matrix `matrix`.
  fileprivate func set(_ matrix: inout MutableSpan<Float>, to elements: [Float]) {
    for expert in 0..<experts {
      for (index, place) in zip(source(expert), target(expert)) { matrix[place] = elements[index] }
    }
  }
}
