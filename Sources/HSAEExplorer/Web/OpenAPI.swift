// The description of the JSON API as OpenAPI 3.1. A test requests every path in it, and holds the answers against its schemas.

#if Explorer
private let orders = LatentQuery.Order.all.map { "\"\($0.name)\"" }.joined(separator: ", ")

private let filters = LatentColumn.sortable.flatMap { column in
  column.bounds.map { bound in
    """
    {"name": "\(column.name(of: bound))", "in": "query", "schema": {"type": \
    "\(column.isWhole ? "integer" : "number")"}},
    """
  }
}.joined(separator: "\n      ")

/// The fields of each kind of object, with their types. A name with a question mark may be missing; [X] is a list of X.
private let objects: KeyValuePairs<String, KeyValuePairs<String, String>> = [
  "Run": [
    "id": "integer", "name": "string", "path": "string", "step": "integer", "shape": "Shape",
    "sub_threshold": "number", "rows": "integer", "window": "integer",
    "has_promoted_tokens": "boolean", "is_complete": "boolean", "corpus": "integer",
    "kind": "string", "store_name": "string", "model_name?": "string", "model_sha256?": "string",
    "hook_point?": "string", "layer?": "integer", "bos": "string", "configuration": "string",
  ],
  "Shape": [
    "width": "integer", "experts": "integer", "sublatents": "integer", "subspace": "integer",
    "active_experts": "integer",
  ],
  "Statistics": [
    "live": "integer", "live_sublatents": "integer", "scored": "integer",
    "highest_score?": "number", "score_scale?": "ScoreScale", "densities": "[integer]",
    "density_start": "number", "sublatents": "[integer]",
  ],
  "ScoreScale": [
    "rows": "integer", "shuffled_highest?": "number", "shuffled_mean?": "number",
  ],
  "Latent": [
    "expert": "integer", "sublatent?": "integer", "count": "integer", "chosen": "integer",
    "density": "number", "maximum": "number", "mean": "number", "share_of_parent": "number",
    "live_sublatents": "integer", "score?": "number", "words": "[string]", "name": "[string]",
    "label?": "string",
  ],
  "Latents": ["latents": "[Latent]", "total": "integer"],
  "LatentDetail": [
    "latent": "Latent", "parent?": "Latent", "sublatents": "[Latent]", "histogram": "[integer]",
    "strongest": "[Context]", "samples": "[[Context]]", "coactive": "[Related]",
    "nearest": "[Related]", "promoted?": "Promoted", "promoted_with_parent?": "Promoted",
    "effects?": "EffectHistogram", "score_parts?": "ScoreParts", "lists": "[string]",
  ],
  "Context": [
    "document?": "integer", "position": "integer", "title?": "string", "language?": "string",
    "topic?": "string", "tokens": "[ContextToken]", "centre": "integer", "value": "number",
    "parent_value": "number",
  ],
  "ContextToken": ["text": "string", "value": "number"],
  "Related": ["latent": "Latent", "value": "number"],
  "Promoted": ["promoted": "[TokenEffect]", "suppressed": "[TokenEffect]"],
  "TokenEffect": ["token": "integer", "text": "string", "value": "number"],
  "EffectHistogram": ["start": "number", "width": "number", "counts": "[integer]"],
  "ScoreParts": [
    "cohesion": "number", "margin": "number", "gain": "number", "richness": "number",
    "readability": "number",
  ],
  "Vector": ["run": "string", "latent": "string", "vector": "[number]"],
  "Label": [
    "expert": "integer", "sublatent?": "integer", "text": "string", "changed": "integer",
    "lists": "[string]",
  ],
  "List": ["name": "string", "count": "integer"],
  "Found": ["latents": "[Latent]", "contexts": "[ContextHit]"],
  "ContextHit": ["latent": "Latent", "hits": "integer", "context": "Context"],
  "Comparison": [
    "histogram": "[integer]", "mutual": "integer", "near_sublatents": "integer",
    "matched": "[Matched]", "sublatents": "[Matched]", "alone": "[Matched]",
  ],
  "Matched": ["latent": "Latent", "other": "Latent", "cosine": "number", "is_mutual": "boolean"],
  "Dissection": ["tokens": "[TextToken]", "is_cut": "boolean", "runs": "[RunParts]"],
  "TextToken": ["token": "integer", "text": "string", "norm": "number"],
  "RunParts": ["run": "string", "tokens": "[TokenParts]"],
  "TokenParts": [
    "explained": "number", "explained_by_top_level": "number", "standing?": "Standing",
    "latents": "[ActiveLatent]",
  ],
  "Standing": [
    "rows": "integer", "is_same_token": "boolean", "median": "number", "below": "number",
  ],
  "ActiveLatent": [
    "latent": "Latent", "value": "number", "sublatent?": "Latent", "sub_value": "number",
    "is_sublatent_active": "boolean",
  ],
]

/// The schema of a type as `objects` names it.
private func schema(_ type: String) -> String {
  if type.hasPrefix("[") {
    return "{\"type\": \"array\", \"items\": \(schema(String(type.dropFirst().dropLast())))}"
  }
  return type.first?.isUppercase == true
    ? "{\"$ref\": \"#/components/schemas/\(type)\"}" : "{\"type\": \"\(type)\"}"
}

private let schemas = objects.map { name, fields in
  let required = fields.map(\.key).filter { !$0.hasSuffix("?") }.map { "\"\($0)\"" }
  let properties = fields.map { field, type in
    "\"\(field.hasSuffix("?") ? String(field.dropLast()) : field)\": \(schema(type))"
  }
  return """
    "\(name)": {"type": "object", "required": [\(required.joined(separator: ", "))], "properties": \
    {\(properties.joined(separator: ", "))}}
    """
}.joined(separator: ",\n    ")

/// An answer of status 200 with JSON of the type `type`.
private func answer(_ type: String, _ description: String) -> String {
  """
  "200": {"description": "\(description)", "content": {"application/json": {"schema": \(schema(type))}}}
  """
}

let openAPIDocument = """
  {"openapi": "3.1.0",
   "info": {"title": "hsae explore", "version": "1",
    "description": "What the latents of dictionaries are active for. Names of latents are 12 for expert 12 and 12.3 for its sublatent 3. Keys are in snake case. Errors are {\\"error\\": sentence}; a request that is malformed or too long gets its sentence as plain text."},
   "paths": {
    "/api/v1/runs": {"get": {"summary": "All runs", "responses": {\(answer("[Run]", "Runs with sizes, rows and model"))}}},
    "/api/v1/runs/{run}": {"get": {"summary": "A run", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {\(answer("Run", "The run")), "404": {"description": "No such run"}}}},
    "/api/v1/runs/{run}/statistics": {"get": {"summary": "Live latents, densities, sublatents in use", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {\(answer("Statistics", "Numbers"))}}},
    "/api/v1/runs/{run}/latents": {"get": {"summary": "Latents, filtered and sorted", "parameters": [
      {"$ref": "#/components/parameters/run"},
      {"name": "level", "in": "query", "schema": {"type": "string"}, "description": "top, sub, both, or the number of an expert for its sublatents; both where q, labelled or list is given, else top"},
      {"name": "sort", "in": "query", "schema": {"type": "string", "enum": [\(orders)]}},
      {"name": "desc", "in": "query", "schema": {"type": "string", "enum": ["0", "1"]}},
      {"name": "q", "in": "query", "schema": {"type": "string"}, "description": "at most 10 words and 200 characters: beginnings of words, promoted tokens, labels or words of strongest contexts, or a number (12, 12.3)"},
      \(filters)
      {"name": "dead", "in": "query", "schema": {"type": "string", "enum": ["1"]}},
      {"name": "labelled", "in": "query", "schema": {"type": "string", "enum": ["1"]}},
      {"name": "list", "in": "query", "schema": {"type": "string"}, "description": "only latents in this list"},
      {"name": "offset", "in": "query", "schema": {"type": "integer"}},
      {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 1000}}],
      "responses": {\(answer("Latents", "latents and total")), "400": {"description": "A field is wrong"}}}},
    "/api/v1/runs/{run}/latents/{latent}": {"get": {"summary": "A latent with contexts, sublatents, relatives, promoted tokens, histogram", "parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}], "responses": {\(answer("LatentDetail", "The latent")), "404": {"description": "No such latent"}}}},
    "/api/v1/runs/{run}/latents/{latent}/vector": {"get": {"summary": "What a latent adds to a reconstruction for a code of 1: the decoder row d_j of an expert, Π↑ᵀ D_q of a sublatent", "parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}], "responses": {\(answer("Vector", "run, latent, and vector: as many numbers as the model is wide")), "404": {"description": "No such latent, or the run's folder is gone"}}}},
    "/api/v1/runs/{run}/latents/{latent}/label": {"put": {"summary": "Set the label; an empty one removes it", "parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["label"], "properties": {"label": {"type": "string", "maxLength": 2000}, "previous": {"type": "string", "description": "the label that is replaced, empty for none; if the label is another by now, the request fails; without this field any label is replaced"}}}}}},
      "responses": {\(answer("Latent", "The latent")), "400": {"description": "No JSON, or too long"}}}},
    "/api/v1/runs/{run}/labels": {"get": {"summary": "All latents with a label or in a list", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {\(answer("[Label]", "Labels"))}}},
    "/api/v1/runs/{run}/lists": {"get": {"summary": "The lists that have latents of the run", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {\(answer("[List]", "Lists"))}}},
    "/api/v1/runs/{run}/latents/{latent}/lists/{list}": {"parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}, {"name": "list", "in": "path", "required": true, "schema": {"type": "string", "maxLength": 200}}],
      "put": {"summary": "Put the latent into a list; a new name makes a list", "responses": {\(answer("[List]", "The lists of the run"))}},
      "delete": {"summary": "Take the latent out of a list; a list without latents is gone", "responses": {\(answer("[List]", "The lists of the run"))}}},
    "/api/v1/runs/{run}/search": {"get": {"summary": "Latents that match a text, best first, with contexts at its words", "parameters": [{"$ref": "#/components/parameters/run"},
      {"name": "q", "in": "query", "required": true, "schema": {"type": "string", "maxLength": 200}, "description": "at most 10 words"},
      {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}], "responses": {\(answer("Found", "latents and contexts"))}}},
    "/api/v1/compare": {"get": {"summary": "Two runs side by side", "parameters": [
      {"name": "run", "in": "query", "required": true, "schema": {"type": "string"}},
      {"name": "other", "in": "query", "required": true, "schema": {"type": "string"}},
      {"name": "limit", "in": "query", "schema": {"type": "integer"}}], "responses": {\(answer("Comparison", "The most similar latents, and those without a similar one")), "404": {"description": "Not comparable"}}}},
    "/api/v1/dissect": {"post": {"summary": "The latents that fire in a text", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "runs": {"type": "array", "items": {"type": "string"}}}}}}},
      "responses": {\(answer("Dissection", "Tokens, and for each run the latents that are active at each")), "503": {"description": "There is no model"}}}},
    "/api/v1/runs/{run}/steer": {"post": {"summary": "What the model writes after a prompt, without steering and with it", "parameters": [{"$ref": "#/components/parameters/run"}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["latent", "prompt"], "properties": {
        "latent": {"type": "string", "description": "12 or 12.3"},
        "with_parent": {"type": "boolean", "default": false, "description": "add a sublatent's expert too"},
        "strength": {"type": "number", "minimum": -100, "maximum": 100, "default": 1, "description": "in multiples of the latent's largest code"},
        "ablate": {"type": "boolean", "default": false, "description": "take away what the latent adds, whatever the strength"},
        "prompt": {"type": "string", "maxLength": 4000},
        "skip_prompt": {"type": "boolean", "default": false, "description": "leave the prompt's rows as they are, except the last one"},
        "n_tokens": {"type": "integer", "minimum": 1, "maximum": 200, "default": 40},
        "temperature": {"type": "number", "minimum": 0, "maximum": 10, "default": 0.5},
        "freq_penalty": {"type": "number", "minimum": -10, "maximum": 10, "default": 1},
        "seed": {"type": "integer", "minimum": 0, "default": 0}}}}}},
      "responses": {"200": {"description": "Lines of JSON: kind is default or steered, with the text that was added; the last line is end, with default and steered in full, or error. Closing the connection ends the writing.", "content": {"application/x-ndjson": {}}}, "400": {"description": "A field is wrong"}, "404": {"description": "No such latent, or one that is never active"}, "503": {"description": "There is no model, or it is writing for another client"}}}},
    "/api/v1/openapi.json": {"get": {"summary": "This document", "responses": {"200": {"description": "OpenAPI"}}}}},
   "components": {"parameters": {
    "run": {"name": "run", "in": "path", "required": true, "schema": {"type": "string"}},
    "latent": {"name": "latent", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[0-9]+(\\\\.[0-9]+)?$"}}},
   "schemas": {
    \(schemas)}}}
  """
#endif
