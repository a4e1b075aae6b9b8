/**
 * @file Trains a llama-family decoder with jax-js (its WebAssembly backend) and prints one JSON line, as
 * torch_train.py does.
 *
 *     REGAUGE_JAXJS=<folder with node_modules/@jax-js/jax> node jaxjs_train.mjs --hidden 384 --layers 6 ...
 *
 * jax-js is written for browsers. What it needs to run at its best in Node is put in place here: `navigator`, and
 * a `Worker` made of worker_threads, without which it computes on one thread. Its einsum and attention helper
 * need a newer Node than 20, so attention is spelled out in matrix products. Model, optimizer, clipping and data
 * are those of torch_train.py; the whole step is one `jit`.
 */
import { resolveObjectURL } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { Worker as NodeWorker } from 'node:worker_threads'

const defaults = {
  hidden: 384,
  layers: 6,
  heads: 6,
  intermediate: 1024,
  vocab: 4096,
  seq: 256,
  batch: 8,
  steps: 4,
  warmup: 2,
  threads: 2,
  seed: 1,
}
const { values } = parseArgs({
  options: Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }])),
})
const given = Object.entries(values).map(([name, value]) => [name, Number(value)])
const args = { ...defaults, ...Object.fromEntries(given) }
const folder = process.env.REGAUGE_JAXJS
if (!folder) throw new Error('set REGAUGE_JAXJS to a folder with node_modules/@jax-js/jax')

/** The browser's Worker for a blob of classic script, on a thread of Node. */
class BrowserWorker {
  onmessage = null
  onerror = null
  #ready
  constructor(url) {
    const prelude = `const { parentPort } = require('node:worker_threads')
      globalThis.self = globalThis
      globalThis.postMessage = (data) => parentPort.postMessage(data)
      parentPort.on('message', (data) => self.onmessage({ data }))\n`
    this.#ready = resolveObjectURL(url)
      .text()
      .then((source) => {
        const worker = new NodeWorker(prelude + source, { eval: true })
        worker.on('message', (data) => this.onmessage?.({ data }))
        worker.on('error', (error) => this.onerror?.({ message: error.message }))
        return worker
      })
  }
  postMessage(data) {
    this.#ready.then((worker) => worker.postMessage(data))
  }
}
Object.defineProperty(globalThis, 'navigator', {
  value: { hardwareConcurrency: args.threads, userAgent: '' },
})
if (args.threads > 1) globalThis.Worker = BrowserWorker

const require = createRequire(resolve(folder, 'x.js'))
const home = resolve(require.resolve('@jax-js/jax'), '../..')
const jax = await import(pathToFileURL(resolve(home, 'dist/index.js')).href)
const { version } = JSON.parse(readFileSync(resolve(home, 'package.json'), 'utf8'))
const { numpy: np, nn, random, tree } = jax
await jax.init('wasm')
jax.defaultDevice('wasm')

const headDim = args.hidden / args.heads

// jax-js counts references: passing an array gives it away, and `.ref` keeps it.
function rmsNorm(x, weight) {
  const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true })
  return x.mul(np.reciprocal(np.sqrt(meanSquare.add(1e-5)))).mul(weight)
}

function rotate(x, cos, sin) {
  const [first, second] = np.split(x.ref, 2, -1)
  return x.mul(cos).add(np.concatenate([np.negative(second), first], -1).mul(sin))
}

function attention(x, layer, tables) {
  const { batch: B, seq: T, heads: H } = args
  const split = (y) => np.transpose(y.reshape([B, T, H, headDim]), [0, 2, 1, 3]) // (B, H, T, headDim)
  const q = rotate(split(np.matmul(x.ref, layer.q)), tables.cos.ref, tables.sin.ref)
  const k = rotate(split(np.matmul(x.ref, layer.k)), tables.cos.ref, tables.sin.ref)
  const v = split(np.matmul(x, layer.v))
  const scores = np.matmul(q, np.swapaxes(k, -1, -2)).mul(headDim ** -0.5)
  const y = np.matmul(nn.softmax(scores.add(tables.mask.ref), -1), v) // (B, H, T, headDim)
  return np.matmul(np.transpose(y, [0, 2, 1, 3]).reshape([B * T, args.hidden]), layer.o)
}

function loss(params, ids, labels, tables) {
  let x = np.take(params.embedding.ref, ids, 0) // (B * T, hidden)
  for (const layer of params.layers) {
    x = x.ref.add(attention(rmsNorm(x, layer.attentionNorm), layer, tables))
    const h = rmsNorm(x.ref, layer.mlpNorm)
    const gate = nn.silu(np.matmul(h.ref, layer.gate))
    x = x.add(np.matmul(gate.mul(np.matmul(h, layer.up)), layer.down))
  }
  for (const table of Object.values(tables)) table.dispose()
  const logits = np.matmul(rmsNorm(x, params.norm), np.transpose(params.embedding))
  const logProbabilities = nn.logSoftmax(logits, -1)
  return np.negative(np.mean(np.sum(logProbabilities.mul(nn.oneHot(labels, args.vocab)), -1)))
}

const [beta1, beta2, epsilon, learningRate, weightDecay, maxNorm] = [0.9, 0.95, 1e-8, 1e-3, 0.1, 1]

/** One step. `corrections` holds 1 - beta1^t and 1 - beta2^t. */
function step(params, first, second, ids, labels, tables, corrections) {
  const owned = tree.map((p) => p.ref, params)
  const [value, grads] = jax.valueAndGrad(loss)(owned, ids, labels, tables)
  const [flat, shape] = tree.flatten(grads)
  const squares = flat.map((g) => np.sum(np.square(g.ref))).reduce((a, b) => a.add(b))
  const norm = np.sqrt(squares)
  const scale = np.minimum(np.reciprocal(norm.ref.add(1e-6)).mul(maxNorm), 1)
  const [ps, ms, vs] = [params, first, second].map((t) => tree.flatten(t)[0])
  const [c1, c2] = np.split(corrections, 2, 0)
  const updated = flat.map((g, i) => {
    const clipped = g.mul(scale.ref)
    const m = ms[i].mul(beta1).add(clipped.ref.mul(1 - beta1))
    const v = vs[i].mul(beta2).add(np.square(clipped).mul(1 - beta2))
    const change = m.ref.div(c1.ref).div(np.sqrt(v.ref.div(c2.ref)).add(epsilon))
    const keep = 1 - (np.ndim(ps[i]) >= 2 ? learningRate * weightDecay : 0)
    return [ps[i].mul(keep).sub(change.mul(learningRate)), m, v]
  })
  for (const used of [scale, c1, c2]) used.dispose()
  const part = (i) =>
    tree.unflatten(
      shape,
      updated.map((row) => row[i]),
    )
  return [part(0), part(1), part(2), value, norm]
}

function* tokenStream(seed) {
  let state = Math.imul(seed, 2654435761) >>> 0 || 1
  for (let last = 0; ; ) {
    state = (state ^ (state << 13)) >>> 0
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    last = state & 3 ? (last * 5 + 7) % 64 : (state >>> 8) % args.vocab
    yield last
  }
}

/** CPU seconds taken so far by the whole machine (and stolen from it), and by this process. */
function cpuSeconds() {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1, 9).map(Number)
  const [user, nice, system, , , irq, softirq, steal] = fields
  const own = process.cpuUsage()
  return [(user + nice + system + irq + softirq + steal) / 100, (own.user + own.system) / 1e6]
}

let key = args.seed
const matrix = (...shape) => random.normal(random.key(key++), shape).mul(0.02)
const ones = () => np.ones([args.hidden])
const { hidden, intermediate } = args
let params = {
  embedding: matrix(args.vocab, hidden),
  norm: ones(),
  layers: Array.from({ length: args.layers }, () => ({
    attentionNorm: ones(),
    mlpNorm: ones(),
    q: matrix(hidden, hidden),
    k: matrix(hidden, hidden),
    v: matrix(hidden, hidden),
    o: matrix(hidden, hidden),
    gate: matrix(hidden, intermediate),
    up: matrix(hidden, intermediate),
    down: matrix(intermediate, hidden),
  })),
}
let first = tree.map((p) => np.zeros(np.shape(p)), params)
let second = tree.map((p) => np.zeros(np.shape(p)), params)
const count = tree.flatten(params)[0].reduce((sum, p) => sum + np.shape(p).reduce((a, b) => a * b), 0)

const T = args.seq
const angles = Float32Array.from({ length: T * headDim }, (_, i) => {
  const [t, j] = [Math.floor(i / headDim), i % (headDim / 2)]
  return t * 10000 ** ((-2 * j) / headDim)
})
const tables = {
  cos: np.array(angles.map(Math.cos)).reshape([T, headDim]),
  sin: np.array(angles.map(Math.sin)).reshape([T, headDim]),
  mask: np
    .array(Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0)))
    .reshape([T, T]),
}

const compiled = jax.jit(step)
const stream = tokenStream(args.seed)
const rows = []
for (let t = 1; t <= args.warmup + args.steps; t++) {
  const batch = Array.from({ length: args.batch }, () =>
    Array.from({ length: T + 1 }, () => stream.next().value),
  )
  const ids = np.array(Int32Array.from(batch.flatMap((row) => row.slice(0, -1))))
  const labels = np.array(Int32Array.from(batch.flatMap((row) => row.slice(1))))
  const corrections = np.array(Float32Array.of(1 - beta1 ** t, 1 - beta2 ** t))
  const [busy, own] = cpuSeconds()
  const start = performance.now()
  const kept = tree.map((table) => table.ref, tables)
  const result = compiled(params, first, second, ids, labels, kept, corrections)
  ;[params, first, second] = result
  await jax.blockUntilReady([params, first, second])
  const value = (await result[3].data())[0]
  const norm = (await result[4].data())[0]
  const seconds = (performance.now() - start) / 1000
  const [busyAfter, ownAfter] = cpuSeconds()
  rows.push({ value, norm, seconds, foreign: Math.max(0, (busyAfter - busy - (ownAfter - own)) / seconds) })
}

const timed = rows.slice(args.warmup)
const best = Math.min(...timed.map((row) => row.seconds))
const { layers, heads, vocab, seq, batch } = args
console.log(
  JSON.stringify({
    peer: 'jax-js',
    version,
    mode: 'f32',
    model: { hidden, layers, heads, kv_heads: heads, intermediate, vocab, seq, batch, tied: true },
    params: count,
    tokensPerStep: batch * seq,
    compileSeconds: rows.slice(0, args.warmup).reduce((sum, row) => sum + row.seconds - best, 0),
    stepSeconds: timed.map((row) => row.seconds),
    loss: rows.map((row) => row.value),
    gradNorm: rows.map((row) => row.norm),
    foreignCores: timed.map((row) => Number(row.foreign.toFixed(3))),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    settings: { threads: args.threads },
  }),
)
process.exit(0)
