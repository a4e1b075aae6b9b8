/** @file The laws that hold between rooms: who imports from whom, and where vendors may be named. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { expect, test } from 'vitest'
import { ENGINE_IDS } from '../src/engines/index.ts'

const SOURCE = resolve(import.meta.dirname, '../src')

/** From the foundation up: a room imports only from rooms before it in this list. */
const ROOMS = [
  'formats',
  'chips',
  'model',
  'graph',
  'steps',
  'runtime',
  'data',
  'train',
  'simulate',
  'engines',
  'plan',
  'verify',
  'watch',
  'cli',
]

/** What belongs to no room and is for all. */
const COMMON = ['errors.ts', 'harmless.ts', 'version.ts', 'words.ts']

/**
 * What scripts and benchmarks may take besides the index.ts of a room: what a fit moves, the space that layouts are drawn
 * from, and how a process of the command line begins.
 */
const BESIDES = ['simulate/evidence.ts', 'plan/space.ts', 'cli/compile-later.ts']

/** Rooms in which vendors and engines, and what they make, may be named. */
const VENDOR_ROOMS = ['chips', 'engines', 'runtime']
const VENDORS =
  /\b(AMD|Ascend|CANN|CUDA|DirectML|Huawei|Intel|NPU|NVIDIA|ROCm|TensorRT|WebGPU|cann|cuda|npu|webgpu)\b/
const ENGINES =
  /\b(Colossal-AI|DeepSpeed|FlagScale|FSDP2?|HAI-LLM|Megatron|MindFormers|MindSpeed|ModelLink|NeMo|torchtitan)\b/i

const ENGINE_ID = new RegExp(`'(${ENGINE_IDS.join('|')})'`, 'g')

/** Files outside of these rooms that name engines, with the reason. */
const NAMING: Readonly<Record<string, string>> = {
  'formats/indexed-dataset.ts': 'the format has the name of the engine that it is from',
  'formats/indexed-dataset-dtype.ts': 'the same',
  'formats/indexed-dataset-index.ts': 'the same',
  'formats/indexed-dataset-write.ts': 'the same',
  'formats/indexed-dataset.test.ts': 'the same',
  'train/run/other-names.ts': 'the names that other tools have for what is set here',
  'simulate/fitted/values.ts':
    'what is fitted has the names of the software that was measured, and is written by a script',
}

interface File {
  /** Path below src/, with slashes. */
  readonly path: string
  /** Undefined for a file that lies in src/ itself. */
  readonly room: string | undefined
  readonly text: string
}

const files: File[] = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .map((path) => path.split(sep).join('/'))
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path, room: roomOf(path), text: readFileSync(join(SOURCE, path), 'utf8') }))

function roomOf(path: string): string | undefined {
  return path.includes('/') ? path.split('/')[0] : undefined
}

/** Paths below src/ that a file imports or re-exports by a relative path, dynamic imports too. */
function importsOf({ path, text }: File): string[] {
  const found = [...text.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.[^']*)'/g)].map(([, to]) => to!)
  return found.map((to) =>
    relative(SOURCE, resolve(SOURCE, dirname(path), to))
      .split(sep)
      .join('/'),
  )
}

/** What is wrong with importing `to` from a file of `room`; undefined when nothing is. */
function wrong({ room, path }: File, to: string): string | undefined {
  if (COMMON.includes(to)) return undefined
  const other = roomOf(to)
  if (to.startsWith('..')) {
    return path.endsWith('.test.ts') && to.startsWith('../test/') ? undefined : 'leaves src/'
  }
  if (other === room) return undefined
  if (other === undefined) return 'is no room'
  if (to !== `${other}/index.ts` && to !== `${other}/names.ts`) return 'reaches past the index.ts of its room'
  if (room === undefined || ROOMS.indexOf(other) < ROOMS.indexOf(room)) return undefined
  return path.endsWith('.test.ts') ? undefined : `is not above ${room}/`
}

test('every folder of src/ is a room', () => {
  const found = new Set(files.flatMap(({ room }) => room ?? []))
  expect([...found].sort()).toEqual([...ROOMS].sort())
})

test('a room imports only from rooms above it, by their index.ts', () => {
  const problems = files.flatMap((file) =>
    importsOf(file).flatMap((to) => {
      const problem = wrong(file, to)
      return problem === undefined ? [] : [`${file.path} imports ${to}, which ${problem}`]
    }),
  )
  expect(problems).toEqual([])
  // the search itself finds imports: the command line has some in every file
  expect(files.flatMap(importsOf).length).toBeGreaterThan(files.length)
})

test('the names.ts of a room takes nothing along', () => {
  const names = files.filter(({ path }) => path.endsWith('/names.ts'))
  expect(names.length).toBeGreaterThan(3)
  for (const file of names) expect([file.path, file.text.match(/^import/gm)]).toEqual([file.path, null])
})

test('help and a mistake in a command load no room and no package but that for colours', () => {
  const loaded = new Set<string>()
  const visit = (path: string): void => {
    if (loaded.has(path)) return
    loaded.add(path)
    const text = files.find((file) => file.path === path)!.text
    // what is imported when the file is: neither types alone nor what is called for
    for (const [, to] of text.matchAll(/^(?:import|export) (?!type )(?:[^;']*? from )?'([^']*)'/gm)) {
      if (to!.startsWith('.')) visit(join(dirname(path), to!).split(sep).join('/'))
      else loaded.add(to!)
    }
  }
  visit('cli/main.ts')
  const heavy = [...loaded].filter(
    (one) => !one.startsWith('node:') && !one.startsWith('cli/') && !one.endsWith('/names.ts'),
  )
  expect(heavy.sort()).toEqual([...COMMON, 'picocolors'].sort())
})

test('the library takes nothing of the command line along', () => {
  const { exports } = JSON.parse(readFileSync(join(SOURCE, '../package.json'), 'utf8')) as {
    exports: Record<string, string | { default: string }>
  }
  const entries = Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [entry.default.replace('./dist/', '').replace('.js', '.ts')],
  )
  const library = files.filter(({ path }) => entries.includes(path))
  expect(library).toHaveLength(entries.length)
  expect(library.flatMap(importsOf).filter((to) => roomOf(to) === 'cli')).toEqual([])
  // and what lies in src/ itself is an entry, or for all
  const loose = files.filter(({ room, path }) => room === undefined && !COMMON.includes(path))
  expect(loose.map(({ path }) => path).sort()).toEqual(entries.sort())
})

/** Lines outside of the rooms for it that name something. */
function linesThatName(pattern: RegExp, except: readonly string[]): string[] {
  return files
    .filter(({ room, path }) => room !== undefined && !VENDOR_ROOMS.includes(room) && !except.includes(path))
    .flatMap(({ path, text }) =>
      text
        .replaceAll(/(github|gitcode)\.com\/\S+/g, '') // sources are cited by their address
        // an engine is asked for by its id, and a test may ask for any of them
        .replaceAll(path.endsWith('.test.ts') ? ENGINE_ID : /ENGINES\['[a-z-]+'\]/g, '')
        .split('\n')
        // a test may say in a comment where a fact about runtimes is from
        .map((line) => (path.endsWith('.test.ts') && /^\s*(\/\/|\/?\*)/.test(line) ? '' : line))
        .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1} ${line.trim()}`] : [])),
    )
}

test('no vendor is named outside of the rooms for them', () => {
  expect(linesThatName(VENDORS, [])).toEqual([])
})

test('no engine is named outside of the rooms for them', () => {
  expect(linesThatName(ENGINES, Object.keys(NAMING))).toEqual([])
  // and each exception is one
  const named = files.filter(({ path, text }) => path in NAMING && ENGINES.test(text))
  expect(named.map(({ path }) => path).sort()).toEqual(Object.keys(NAMING).sort())
})

test.each(['scripts', 'bench'])('%s take of a room what its index.ts offers', (folder) => {
  const root = join(SOURCE, '..', folder)
  const entries = [...COMMON, ...files.flatMap(({ room, path }) => (room === undefined ? [path] : []))]
  const imports = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => {
      const file = {
        path: `../${folder}/${path}`,
        room: undefined,
        text: readFileSync(join(root, path), 'utf8'),
      }
      return importsOf(file).map((to) => ({ path, to }))
    })
    .filter(({ to }) => !to.startsWith('..'))
  const allowed = ({ to }: { to: string }) =>
    entries.includes(to) || BESIDES.includes(to) || to === `${roomOf(to)}/index.ts`
  expect(imports.filter((one) => !allowed(one)).map(({ path, to }) => `${path} imports ${to}`)).toEqual([])
  // the search itself finds imports
  expect(imports.length).toBeGreaterThan(5)
})

test('the version is written in package.json alone', () => {
  const { version } = JSON.parse(readFileSync(join(SOURCE, '../package.json'), 'utf8')) as { version: string }
  const copies = files.filter(({ path, text }) => !path.endsWith('.test.ts') && text.includes(version))
  expect(copies.map(({ path }) => path)).toEqual([])
})

test('no file imports itself by way of others, types included', () => {
  const own = files.filter(({ path }) => !path.endsWith('.test.ts'))
  const imports = new Map(own.map((file) => [file.path, importsOf(file)]))
  /** Files all of whose ways have been followed. */
  const done = new Set<string>()
  const circles: string[] = []
  const follow = (path: string, way: readonly string[]): void => {
    const begin = way.indexOf(path)
    if (begin >= 0) circles.push([...way.slice(begin), path].join(' -> '))
    if (begin >= 0 || done.has(path)) return
    for (const to of imports.get(path) ?? []) follow(to, [...way, path])
    done.add(path)
  }
  for (const path of imports.keys()) follow(path, [])
  expect(circles).toEqual([])
})
