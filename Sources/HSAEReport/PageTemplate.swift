// The frame of every page. It allows itself no address but its own: no fonts, scripts or images from
// anywhere.

let pageTemplate = """
  <!doctype html>
  <html lang="en">
  <head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="generator" content="hsae report">
  <meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
  style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
  <title>{{{title}}}</title>
  <link rel="icon" href="data:,">
  <style>
  {{{style}}}
  </style>
  </head>
  <body>
  <a class="skip" href="#main">Skip to the content</a>
  <header class="masthead">
  <div class="wrap">
  <p class="kicker">hierarchical sparse autoencoder</p>
  <h1>{{{title}}}</h1>
  <p class="subtitle">{{{subtitle}}}</p>
  {{#hasFigures}}
  <dl class="figures">
  {{#figures}}
  <div><dt>{{{label}}}</dt><dd>{{{value}}}</dd><dd class="aside">{{{aside}}}</dd></div>
  {{/figures}}
  </dl>
  {{/hasFigures}}
  </div>
  </header>
  <nav class="sections" aria-label="Sections"><div class="wrap">
  {{#sections}}
  <a href="#{{{anchor}}}">{{{label}}}</a>
  {{/sections}}
  </div></nav>
  <main id="main" class="wrap">
  {{{body}}}
  </main>
  <footer class="wrap">
  <p>{{#hasWords}}Words are tokens of the model. Most begin with a space (▁), which is not shown; a piece that
  continues a word is marked ·so. Forms of one word (case, space, English plural) are listed once.
  {{/hasWords}}{{#hasCommand}}Made with <code>{{{command}}}</code>.{{/hasCommand}}</p>
  </footer>
  {{#hasIndex}}
  <script type="application/json" id="index">{{{index}}}</script>
  {{/hasIndex}}
  <script>
  {{{script}}}
  </script>
  </body>
  </html>

  """
