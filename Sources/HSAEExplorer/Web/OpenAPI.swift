// The description of the JSON API as OpenAPI 3.1. A test requests every path in it.

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

let openAPIDocument = """
  {"openapi": "3.1.0",
   "info": {"title": "hsae explore", "version": "1",
    "description": "What the latents of dictionaries are active for. Names of latents are 12 for expert 12 and 12.3 for its sublatent 3. Keys are in snake case. Errors are {\\"error\\": sentence}; a request that is malformed or too long gets its sentence as plain text."},
   "paths": {
    "/api/v1/runs": {"get": {"summary": "All runs", "responses": {"200": {"description": "Runs with sizes, rows and model"}}}},
    "/api/v1/runs/{run}": {"get": {"summary": "A run", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {"200": {"description": "The run"}, "404": {"description": "No such run"}}}},
    "/api/v1/runs/{run}/statistics": {"get": {"summary": "Live latents, densities, sublatents in use", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {"200": {"description": "Numbers"}}}},
    "/api/v1/runs/{run}/latents": {"get": {"summary": "Latents, filtered and sorted", "parameters": [
      {"$ref": "#/components/parameters/run"},
      {"name": "level", "in": "query", "schema": {"type": "string"}, "description": "top, sub, both, or the number of an expert for its sublatents; both where q or labelled is given, else top"},
      {"name": "sort", "in": "query", "schema": {"type": "string", "enum": [\(orders)]}},
      {"name": "desc", "in": "query", "schema": {"type": "string", "enum": ["0", "1"]}},
      {"name": "q", "in": "query", "schema": {"type": "string"}, "description": "at most 10 words and 200 characters: beginnings of words, promoted tokens, labels or words of strongest contexts, or a number (12, 12.3)"},
      \(filters)
      {"name": "dead", "in": "query", "schema": {"type": "string", "enum": ["1"]}},
      {"name": "labelled", "in": "query", "schema": {"type": "string", "enum": ["1"]}},
      {"name": "offset", "in": "query", "schema": {"type": "integer"}},
      {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 1000}}],
      "responses": {"200": {"description": "latents and total"}, "400": {"description": "A field is wrong"}}}},
    "/api/v1/runs/{run}/latents/{latent}": {"get": {"summary": "A latent with contexts, sublatents, relatives, promoted tokens, histogram", "parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}], "responses": {"200": {"description": "The latent"}, "404": {"description": "No such latent"}}}},
    "/api/v1/runs/{run}/latents/{latent}/vector": {"get": {"summary": "What a latent adds to a reconstruction for a code of 1: the decoder row d_j of an expert, Π↑ᵀ D_q of a sublatent", "parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}], "responses": {"200": {"description": "run, latent, and vector: as many numbers as the model is wide"}, "404": {"description": "No such latent, or the run's folder is gone"}}}},
    "/api/v1/runs/{run}/latents/{latent}/label": {"put": {"summary": "Set the label; an empty one removes it", "parameters": [{"$ref": "#/components/parameters/run"}, {"$ref": "#/components/parameters/latent"}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["label"], "properties": {"label": {"type": "string", "maxLength": 2000}, "previous": {"type": "string", "description": "the label that is replaced, empty for none; if the label is another by now, the request fails; without this field any label is replaced"}}}}}},
      "responses": {"200": {"description": "The latent"}, "400": {"description": "No JSON, or too long"}}}},
    "/api/v1/runs/{run}/labels": {"get": {"summary": "All labels", "parameters": [{"$ref": "#/components/parameters/run"}], "responses": {"200": {"description": "Labels"}}}},
    "/api/v1/runs/{run}/search": {"get": {"summary": "Latents that match a text, best first, with contexts at its words", "parameters": [{"$ref": "#/components/parameters/run"},
      {"name": "q", "in": "query", "required": true, "schema": {"type": "string", "maxLength": 200}, "description": "at most 10 words"},
      {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}], "responses": {"200": {"description": "latents and contexts"}}}},
    "/api/v1/compare": {"get": {"summary": "Two runs side by side", "parameters": [
      {"name": "run", "in": "query", "required": true, "schema": {"type": "string"}},
      {"name": "other", "in": "query", "required": true, "schema": {"type": "string"}},
      {"name": "limit", "in": "query", "schema": {"type": "integer"}}], "responses": {"200": {"description": "The most similar latents, and those without a similar one"}, "404": {"description": "Not comparable"}}}},
    "/api/v1/dissect": {"post": {"summary": "The latents that fire in a text", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "runs": {"type": "array", "items": {"type": "string"}}}}}}},
      "responses": {"200": {"description": "Tokens, and for each run the latents that are active at each"}, "503": {"description": "There is no model"}}}},
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
    "latent": {"name": "latent", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[0-9]+(\\\\.[0-9]+)?$"}}}}}
  """
#endif
