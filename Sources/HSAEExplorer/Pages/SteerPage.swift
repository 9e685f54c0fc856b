// The steering page: choose a latent, a strength and a prompt, and read what the model writes without and with it. The
// form works without the script; with it the texts appear as they are written.

#if Explorer
import HSAEHTML
import HSAELanguageModels
import HSAEModels
import HSAESupport

extension Explorer {
  private static let examplePrompt = "When I woke up this morning, the first thing I thought of was"

  /// Whether a language model can be steered with `run`.
  func canSteer(_ run: RunRecord) -> Bool { run.kind == .text && run.layer != nil }

  func steerPage(_ request: WebRequest, of run: RunRecord) async throws(Failure) -> Markup {
    var asked = try SteeringRequest(request)
    let runs = try database.runs()
    guard canSteer(run) else {
      return layout(
        "Steer",
        """
        <h1>Steer</h1>
        <p class="empty">Only runs on a language model’s residual stream can be steered.</p>
        """, section: .steer, run: run, runs: runs)
    }
    let record = try LatentNumber(asked.latent, in: run.shape).flatMap {
      (latent) throws(Failure) in try database.record(of: latent, in: run)
    }
    var body: Markup = ""
    if asked.latent.isEmpty {
      body = try suggestions(run)
    } else if record == nil {
      body = try matches(asked.latent, run)
    } else if !asked.prompt.isEmpty {
      guard let dissector else { throw Dissector.noModel }
      try await dissector.prepare(asked, of: run, database)
      if let written = try await dissector.write() {
        body = texts(asked.prompt, written.plain, written.steered)
      }
    }
    // With the script, the page of a latent shows an example at once.
    let begins = asked.prompt.isEmpty && dissector != nil && (record?.maximum ?? 0) > 0
    if asked.prompt.isEmpty { asked.prompt = Self.examplePrompt }
    let title = record.map {
      "<p class=\"small\" id=\"named\">\(latentLink($0, run))</p>" as Markup
    }
    return layout(
      "Steer",
      """
      <h1>Steer</h1>
      <p class="lead">What the model writes while a latent is made stronger. At strength 1 it is as strong, at
      every token, as it ever is by itself. Try 2 or 3 if little changes; below 0 it is pushed away.</p>
      <form class="typing steering" id="steering" action="\(Address.steer(run))"\(when(begins, " data-begin"))>
      <div class="filters">
      <label>Latent <input name="latent" required value="\(asked.latent)" autocomplete="off"
      spellcheck="false" placeholder="12, 12.3 or a word"></label>
      <label>Strength <span class="pair"><input type="range" id="slider" min="-3" max="3" step="0.1"
      value="\(number(asked.strength))" aria-label="Strength, as a slider"><input type="number"
      name="strength" aria-label="Strength" min="-100" max="100" step="any" value="\(number(asked.strength))"></span></label>
      </div>
      \(title)
      <label class="hush" for="prompt">Prompt</label>
      <textarea id="prompt" name="prompt" rows="2" maxlength="4000" required>\(asked.prompt)</textarea>
      \(options(asked, record))
      <div><button>Write</button> <button type="button" id="stop" hidden>Stop</button>
      <span role="status" id="state"></span></div>
      </form>
      <div id="written">\(body)</div>
      """, section: .steer, run: run, runs: runs)
  }

  private func options(_ asked: SteeringRequest, _ record: LatentRecord?) -> Markup {
    func field(_ name: Markup, _ label: Markup, _ value: String, _ bounds: Markup) -> Markup {
      "<label>\(label) <input type=\"number\" name=\"\(name)\" value=\"\(value)\" \(bounds)></label>"
    }
    let parent = checkbox("with_parent", "together with its expert", isOn: asked.withParent)
    return """
      \(when(record == nil || record?.sublatent != nil, parent))
      <details><summary>More</summary><div class="filters">
      \(field("n_tokens", "Tokens", "\(asked.tokens)", "min=\"1\" max=\"200\""))
      \(field("temperature", "Temperature", number(asked.sampling.temperature), "min=\"0\" max=\"10\" step=\"any\""))
      \(field("freq_penalty", "Frequency penalty", number(asked.sampling.frequencyPenalty), "min=\"-10\" max=\"10\" step=\"any\""))
      \(field("seed", "Seed", "\(asked.sampling.seed)", "min=\"0\""))
      </div><div>
      \(checkbox("ablate", "ablate: take away what the latent adds", isOn: asked.ablate))
      \(checkbox("skip_prompt", "leave the prompt as it is", isOn: asked.skipPrompt))</div></details>
      """
  }

  /// A number as the value of a form field.
  private func number(_ value: Float) -> String {
    value == value.rounded() && abs(value) < 1e6 ? "\(Int(value))" : "\(value)"
  }

  private func texts(_ prompt: String, _ plain: String, _ steered: String) -> Markup {
    func column(_ title: Markup, _ kind: Markup, _ text: String) -> Markup {
      """
      <section class="column"><h2>\(title)</h2><p class="text" dir="auto"><span class="prompt">\(prompt)\
      </span><span data-kind="\(kind)">\(text)</span></p></section>
      """
    }
    return """
      <div class="columns">\(column("Without", "default", plain))\(column("With", "steered", steered))</div>
      """
  }

  private func suggestions(_ run: RunRecord) throws(Failure) -> Markup {
    let query = LatentQuery(
      order: run.shape.isFlat ? .maximum : .score, isDescending: true, limit: 8)
    return choice("Some to begin with", try database.latents(query, in: run).latents, run)
  }

  private func matches(_ text: String, _ run: RunRecord) throws(Failure) -> Markup {
    let found = try database.search(SearchQuery.checked(text), in: run, limit: 12)
    return found.isEmpty
      ? "<p class=\"empty\">There is no latent of that number or word.</p>"
      : choice("Choose one", found, run)
  }

  private func choice(_ title: Markup, _ latents: [LatentRecord], _ run: RunRecord) -> Markup {
    let items = latents.map { latent -> Markup in
      """
      <li><a class="latent" href="\(Address.steer(run, latent))"><span class="number">\
      \(latent.number.name)</span> \(latentWords(latent))</a></li>
      """
    }.joined()
    return "<h2>\(title)</h2><ul class=\"plainlist\">\(items)</ul>"
  }
}
#endif
