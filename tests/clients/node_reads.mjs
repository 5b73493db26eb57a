// Read a file with @duckdb/node-api, on which Evidence is built, and Parquet files with hyparquet; prints JSON.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [folder, file, ...parquet] = process.argv.slice(2)
const { resolve } = createRequire(pathToFileURL(`${folder}/`))
const load = (name) => import(pathToFileURL(resolve(name)))

const { DuckDBInstance } = await load('@duckdb/node-api')
const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' })
const con = await instance.connect()
const ask = async (sql) => (await con.runAndReadAll(sql)).getRowsJson()
const names = (await ask("SELECT table_schema || '.' || table_name FROM information_schema.tables ORDER BY 1")).flat()
const tables = {}
for (const name of names) tables[name] = Number((await ask(`SELECT count(*) FROM (SELECT * FROM ${name})`))[0][0])
const [[engine]] = await ask('SELECT version()')
const comments = await ask("SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL")

const { parquetReadObjects } = await import(pathToFileURL(`${folder}/node_modules/hyparquet/src/node.js`))
const { compressors } = await import(pathToFileURL(`${folder}/node_modules/hyparquet-compressors/src/index.js`))
const files = {}
for (const path of parquet) {
  const bytes = readFileSync(path)
  const rows = await parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
    compressors,
  })
  files[path] = [rows.length ? Object.keys(rows[0]) : [], rows.length, rows.reduce((t, r) => t + (r.value ?? 0), 0)]
}
console.log(JSON.stringify({ engine, tables, uncommented: Number(comments[0][0]), files }))
