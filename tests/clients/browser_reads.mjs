// Attach a file with duckdb-wasm in headless Chromium, and open the codebook; prints JSON with every request made.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [folder, chromium, database, codebook, sql] = process.argv.slice(2)
const { chromium: browser } = createRequire(pathToFileURL(`${folder}/`))('playwright-core')
const dist = `${folder}/node_modules/@duckdb/duckdb-wasm/dist`

const imports = {
  'apache-arrow': '/modules/apache-arrow/Arrow.dom.mjs',
  flatbuffers: '/modules/flatbuffers/mjs/flatbuffers.js',
  tslib: '/modules/tslib/tslib.es6.mjs',
}
const page = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script><script type="module">
const duckdb = await import('/dist/duckdb-browser.mjs')
const worker = new Worker('/dist/duckdb-browser-eh.worker.js')
const db = new duckdb.AsyncDuckDB(new duckdb.VoidLogger(), worker)
await db.instantiate(location.origin + '/dist/duckdb-eh.wasm')
const bytes = new Uint8Array(await (await fetch('/benchmark.duckdb')).arrayBuffer())
await db.registerFileBuffer('benchmark.duckdb', bytes)
await db.open({ path: 'benchmark.duckdb', accessMode: duckdb.DuckDBAccessMode.READ_ONLY })
const con = await db.connect()
const ask = async (sql) => (await con.query(sql)).toArray().map((row) => Object.values(row.toJSON()).map(String))
const names = (await ask("SELECT table_schema || '.' || table_name FROM information_schema.tables")).flat()
const tables = {}
for (const name of names) tables[name] = Number((await ask('SELECT count(*) FROM (SELECT * FROM ' + name + ')'))[0][0])
window.found = { engine: (await ask('SELECT version()'))[0][0], tables, rows: await ask(${JSON.stringify(sql)}) }
</script>`
const kinds = { js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm', html: 'text/html' }
const server = createServer((request, response) => {
  const path = new URL(request.url, 'http://here').pathname
  const answer = (bytes) => {
    response.writeHead(200, { 'content-type': kinds[path.split('.').pop()] ?? 'application/octet-stream' })
    response.end(bytes)
  }
  try {
    if (path === '/favicon.ico') answer('')
    else if (path === '/page.html') answer(page)
    else if (path === '/benchmark.duckdb') answer(readFileSync(database))
    else if (path.startsWith('/dist/')) answer(readFileSync(dist + path.slice(5)))
    else if (path.startsWith('/modules/')) answer(readFileSync(`${folder}/node_modules${path.slice(8)}`))
    else response.writeHead(404).end()
  } catch {
    response.writeHead(404).end()
  }
})
await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
const here = `http://127.0.0.1:${server.address().port}`

const running = await browser.launch({ executablePath: chromium, args: ['--no-sandbox'] })
const asked = []
const errors = []
const open = async (address) => {
  const tab = await running.newPage()
  tab.on('request', (request) => asked.push(request.url()))
  tab.on('pageerror', (error) => errors.push(String(error)))
  tab.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  await tab.goto(address)
  return tab
}
const tab = await open(`${here}/page.html`)
let found = null
try {
  await tab.waitForFunction('window.found', null, { timeout: 120000 })
  found = await tab.evaluate('window.found')
} catch (error) {
  errors.push(String(error))
}
const book = await open(pathToFileURL(codebook).href)
const shown = await book.evaluate(() => ({
  language: document.documentElement.lang,
  tables: document.querySelectorAll('table').length,
  wide: document.documentElement.scrollWidth > window.innerWidth,
}))
await running.close()
server.close()
const elsewhere = asked.filter((address) => !address.startsWith(here) && !address.startsWith('file:') && !address.startsWith('blob:'))
console.log(JSON.stringify({ found, shown, errors, elsewhere }))
