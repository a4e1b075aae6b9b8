/** @file The command as a person runs it, with its exit code and both streams; where it matters, as a process. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyBuild } from '../../test/build-copy.ts'
import { formatRun, loadRun, openEventLog, runJsonSchema } from '../train/index.ts'
import { runCli } from './app.ts'
import { verdict } from './commands/doctor.ts'
import { completionScript } from './completion.ts'
import { COMMAND_NAMES, COMMANDS, SHELLS } from './options.ts'
import type { Output } from './ui/terminal.ts'

const before = process.cwd()
const home = copyBuild()
const main = join(home, 'dist', 'cli', 'main.js')
const work = join(home, 'work')

beforeAll(() => {
  mkdirSync(work)
  process.chdir(work)
})

afterAll(() => {
  process.chdir(before)
  rmSync(home, { recursive: true, force: true })
})

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** In this process, as far as it can be: a process of its own takes its time to start. */
async function regauge(words: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const [out, err]: [string[], string[]] = [[], []]
  const stream = (texts: string[]): Output => ({
    write: (text) => texts.push(text) > 0,
    on: () => {},
    off: () => {},
  })
  const code = await runCli(words, { stdout: stream(out), stderr: stream(err) }, env)
  return { code, out: out.join(''), err: err.join('') }
}

function spawned(words: string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...words], {
    cwd: work,
    encoding: 'utf8',
  })
  return { code: status, out: stdout, err: stderr }
}

function shell(script: string): Outcome {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: work, encoding: 'utf8' })
  return { code: status, out: stdout, err: stderr }
}

describe('regauge', () => {
  it('shows help for all, for a group and for a command, without escapes in a pipe', async () => {
    for (const words of [[], ['--help'], ['help']]) {
      const { code, out, err } = await regauge(words)
      expect([code, err]).toEqual([0, ''])
      for (const name of COMMAND_NAMES) expect(out).toContain(name)
      expect(out).not.toContain('\u001b')
    }
    expect((await regauge(['runs', '--help'])).out).toContain('runs compare')
    expect((await regauge(['help', 'runs', 'show'])).out).toContain('regauge runs show <run>')
    expect((await regauge(['train', 'x', '--help'])).out).toContain('regauge train runs/books')
    expect((await regauge(['-h'], { FORCE_COLOR: '1' })).out).toContain('\u001b[1m')
    expect((await regauge(['-h'], { FORCE_COLOR: '1', NO_COLOR: '1' })).out).not.toContain('\u001b')
  })

  it('tells its version', async () => {
    const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }
    for (const word of ['--version', '-V', '-v', 'version']) {
      expect(await regauge([word])).toEqual({ code: 0, out: `${version}\n`, err: '' })
    }
    expect((await regauge(['version', 'of', 'what'])).code).toBe(2)
  })

  it('exits with 2 on mistakes, all told at once, on stderr', async () => {
    const { code, out, err } = spawned(['init', '--recipy=scratch', '--recipe', 'scrach', '--data'])
    expect([code, out]).toEqual([2, ''])
    expect(err).toBe(
      [
        'error  unknown option --recipy: did you mean --recipe?',
        'error  --recipe must be one of scratch, jsonl, continue, got "scrach": did you mean "scratch"?',
        'error  --data needs a value: --data <path>',
        '3 problems. Nothing was started.',
        '',
      ].join('\n'),
    )
    expect((await regauge(['tarin'])).err).toBe('error  unknown command "tarin": did you mean "train"?\n')
    expect((await regauge(['runs', 'lst'])).err).toBe(
      'error  unknown command "runs lst": did you mean "list"?\n',
    )
  })

  it('tells errors as JSON on stdout', async () => {
    const { code, out, err } = spawned(['runs', 'show', 'nothing', '--json'])
    expect([code, err]).toEqual([2, ''])
    expect(JSON.parse(out)).toEqual({
      error: {
        code: 'usage',
        exit: 2,
        issues: [{ code: 'RUNS_NOT_FOUND', message: 'no run "nothing"', hint: 'runs holds no runs' }],
      },
    })
  })

  it('exits with 3 where the machine refuses', async () => {
    const { code, err } = spawned(['init', '/dev/null/run.yaml'])
    expect([code, err]).toEqual([3, expect.stringContaining('/dev/null/run.yaml  cannot be written')])
  })

  it('prints the schema whole, also into a pipe that closes early', async () => {
    expect(JSON.parse(spawned(['schema']).out)).toEqual(runJsonSchema())
    const cut = shell(`set -o pipefail; '${process.execPath}' '${main}' schema | head -n 1`)
    expect(cut).toEqual({ code: 0, out: '{\n', err: '' })
  })
})

describe('regauge init', () => {
  it.each([
    ['scratch', []],
    ['jsonl', ['--data', 'a: *b.jsonl', '--data', '[c].jsonl', '--name', 'q-1', '--force']],
    ['continue', ['--from', 'models/#1', '--data', 'x', '--force']],
  ])('writes a run file that loads: %s', async (recipe, more) => {
    const file = join(work, `${recipe}.yaml`)
    expect((await regauge(['init', file, '--recipe', recipe, ...more])).code).toBe(0)
    const { run } = await loadRun(file)
    if (recipe === 'jsonl')
      expect(run.data.train).toEqual([join(work, 'a: *b.jsonl'), join(work, '[c].jsonl')])
    if (recipe === 'continue') expect(run.model.from).toBe(join(work, 'models/#1'))
    expect(run.name).toBe({ scratch: 'work', jsonl: 'q-1', continue: 'work-2' }[recipe])
  })

  it('gives each run a name that is free: of run files beside it and of runs', async () => {
    const place = join(work, 'names')
    const nameOf = async (file: string) => {
      const { out } = await regauge(['init', join(place, file), '--json'])
      return (JSON.parse(out) as { name: string }).name
    }
    expect(await nameOf('a.yaml')).toBe('names')
    expect(await nameOf('b.yaml')).toBe('names-2')
    mkdirSync(join(place, 'runs', 'names-3'), { recursive: true })
    expect(await nameOf('c.yaml')).toBe('names-4')
    rmSync(place, { recursive: true })
  })

  it('overwrites what it is told to alone', async () => {
    writeFileSync(join(work, 'run.yaml'), 'mine')
    const { code, err } = await regauge(['init'])
    expect([code, err]).toEqual([
      2,
      'run.yaml  there is such a file already: name another one, or overwrite it by --force\n',
    ])
    expect(readFileSync(join(work, 'run.yaml'), 'utf8')).toBe('mine')
    expect((await regauge(['init', '--force'])).code).toBe(0)
    expect((await loadRun(join(work, 'run.yaml'))).run.name).toBe('work-3')
    rmSync(join(work, 'run.yaml'))
  })

  it('finds at once text that is not there, and a model that does not train', async () => {
    mkdirSync(join(work, 'odd'))
    writeFileSync(join(work, 'odd', 'config.json'), '{"model_type": "mamba"}')
    const { code, err } = await regauge(['init', 'late.yaml', '--data', 'no/*.txt', '--from', 'odd'])
    expect(code).toBe(4)
    expect(err).toContain('no/*.txt  no file matches: --force writes the file all the same\n')
    expect(err).toMatch(/odd.config\.json {2}.*mamba/)
    expect(err).toContain('2 problems.')
    expect(existsSync(join(work, 'late.yaml'))).toBe(false)
    expect((await regauge(['init', 'late.yaml', '--from', 'nowhere'])).err).toMatch(
      /nowhere.config\.json {2}/,
    )
    rmSync(join(work, 'odd'), { recursive: true })
  })

  it.skipIf(process.platform === 'win32')('leaves nothing of a file that the disk had no room for', () => {
    const { code, err } = shell(`trap '' XFSZ; ulimit -f 1; '${process.execPath}' '${main}' init full.yaml`)
    expect([code, err]).toEqual([3, 'full.yaml  cannot be written (EFBIG)\n'])
    expect(existsSync(join(work, 'full.yaml'))).toBe(false)
  })
})

describe('regauge runs', () => {
  async function makeRun(
    id: string,
    settings: string[],
    losses: number[],
    pid: number,
    host = 'elsewhere',
  ): Promise<string> {
    const folder = join(work, 'runs', id)
    mkdirSync(folder, { recursive: true })
    const source = join(work, `${id}.source.yaml`)
    writeFileSync(
      source,
      'model: {preset: tiny}\ntokenizer: {train: {}}\ndata: {train: a}\ntrain: {steps: 100}\n',
    )
    writeFileSync(join(folder, 'run.yaml'), formatRun((await loadRun(source, { set: settings })).run))
    const log = openEventLog(join(folder, 'events.jsonl'))
    const machine = { host, platform: 'p', processor: 'c', cores: 2, memoryBytes: 1, node: 'v', runtime: 'r' }
    log.append({
      type: 'start',
      startStep: 0,
      steps: 100,
      parameters: 3_000_000,
      tokensPerStep: 64,
      version: '0',
      pid,
      machine,
    })
    log.append({ type: 'state', state: 'training' })
    for (const [i, loss] of losses.entries()) {
      const rest = { steps: 100, learningRate: 1e-3, gradNorm: 1, tokensPerSecond: 1000, stepSeconds: 1 }
      log.append({ type: 'step', step: i + 1, loss, ...rest })
    }
    log.append({ type: 'eval', step: losses.length, loss: losses.at(-1)!, bitsPerByte: 2 })
    log.close()
    return folder
  }

  it('lists, shows and compares, also a run that is being written', async () => {
    await makeRun('one', [], [5, 4, 3], 1)
    const two = await makeRun('two', ['train.batchSize=8', 'optimizer.clipNorm=null'], [5, 4, 3.5], 1)
    writeFileSync(join(two, 'events.jsonl'), '{"type":"step","ste', { flag: 'a' })
    mkdirSync(join(work, 'runs', 'not-a-run'))

    expect(await regauge(['runs'])).toEqual(await regauge(['runs', 'list']))
    expect(
      (await regauge(['runs', 'list'])).out.split('\n').map((line) => line.split(/\s+/).slice(0, 6)),
    ).toEqual([
      ['run', 'state', 'step', 'loss', 'held-out', 'bits/byte'],
      ['one', 'training', '3/100', '3.000', '3.000', '2.000'],
      ['two', 'training', '3/100', '3.500', '3.500', '2.000'],
      [''],
    ])
    const list = JSON.parse((await regauge(['runs', 'list', '--json'])).out) as { id: string; loss: number }[]
    expect(list.map(({ id, loss }) => [id, loss])).toEqual([
      ['one', 3],
      ['two', 3.5],
    ])
    const shown = (await regauge(['runs', 'show', 'runs/two'])).out
    expect(shown).toContain('loss, steps 1 to 3')
    expect(shown).not.toContain('no events')
    expect(JSON.parse((await regauge(['runs', 'show', 'two', '--json'])).out)).toMatchObject({
      figures: { loss: 3.5 },
    })
    const { differences } = JSON.parse((await regauge(['runs', 'compare', 'one', 'two', '--json'])).out) as {
      differences: object
    }
    expect(differences).toEqual({
      'train.batchSize': ['16', '8'],
      'train.microBatchSize': ['16', '8'],
      'optimizer.clipNorm': ['1', 'null'],
    })
    expect((await regauge(['runs', 'compare', 'one', 'tow'])).err).toBe(
      'error  no run "tow": did you mean "two"?\n',
    )
    expect((await regauge(['runs', 'compare', 'one'])).code).toBe(2)
  })

  it('calls a run stopped when its process is gone', async () => {
    const { hostname } = await import('node:os')
    const dead = spawnSync(process.execPath, ['-e', '']).pid
    await makeRun('dead', [], [5], dead, hostname())
    await makeRun('alive', [], [5], process.pid, hostname())
    const list = JSON.parse((await regauge(['runs', 'list', '--json'])).out) as {
      id: string
      state: string
    }[]
    const states = Object.fromEntries(list.map(({ id, state }) => [id, state]))
    expect(states).toMatchObject({ dead: 'stopped', alive: 'training' })
  })

  it('shows a run whose files are damaged, and says so', async () => {
    const folder = join(work, 'runs', 'damaged')
    mkdirSync(folder)
    writeFileSync(
      join(folder, 'events.jsonl'),
      'garbage\n{"type":"note","time":"t","message":"\\u001b[2Jhi"}\n',
    )
    const { code, out } = await regauge(['runs', 'show', 'damaged'])
    expect(code).toBe(0)
    expect(out).toContain('1 lines of events.jsonl are no events; line 1: not JSON')
    expect(out).toContain('run.yaml  no such file')
    expect(out).not.toContain('\u001b')
  })

  it('removes a run once that is said, and nothing that is not one', async () => {
    const folder = await makeRun('old', [], [5], 1)
    mkdirSync(join(folder, 'checkpoints', 'step-00000001'), { recursive: true })
    writeFileSync(join(folder, 'checkpoints', 'step-00000001', 'model.safetensors'), 'x'.repeat(1000))
    const kept = join(work, 'kept')
    mkdirSync(kept)
    writeFileSync(join(kept, 'text'), 'mine')
    const is = { code: 2, out: '' }

    // a script must say so
    const unasked = await regauge(['runs', 'rm', 'old'])
    expect(unasked).toMatchObject(is)
    expect(unasked.err).toMatch(
      /would remove runs\/old with 1 checkpoint, .*nobody can be asked here: say --yes/,
    )

    const refused = async (reason: string) => {
      const { code, err } = await regauge(['runs', 'rm', 'old', '--yes'])
      expect([code, err]).toEqual([2, expect.stringContaining(reason)])
      expect(existsSync(join(folder, 'events.jsonl'))).toBe(true)
    }
    for (const stranger of ['notes.txt', 'data/a.txt', 'checkpoints/mine']) {
      mkdirSync(join(folder, stranger, '..'), { recursive: true })
      writeFileSync(join(folder, stranger), 'mine')
      await refused(`holds ${stranger}, which is not of a run`)
      rmSync(join(folder, stranger))
    }
    mkdirSync(join(work, 'runs', 'bare'), { recursive: true })
    writeFileSync(join(work, 'runs', 'bare', 'run.yaml'), 'seed: 1')
    expect((await regauge(['runs', 'rm', 'bare', '-y'])).err).toContain('holds no events.jsonl')
    symlinkSync(folder, join(work, 'runs', 'link'))
    expect((await regauge(['runs', 'rm', 'link', '--yes'])).err).toContain('is a link, which is not followed')

    // while a process trains it
    const { hostname } = await import('node:os')
    mkdirSync(join(folder, 'lock'))
    const held = join(folder, 'lock', `${process.pid}-0@${hostname()}`)
    writeFileSync(held, '')
    const other = spawned(['runs', 'rm', 'old', '--yes'])
    expect([other.code, other.err]).toEqual([3, expect.stringContaining('trains this run now')])
    rmSync(held)

    // several mistakes at once, and then nothing is removed
    expect((await regauge(['runs', 'rm', 'old', 'bare', 'none', '-y'])).err).toContain('2 problems')
    expect(existsSync(folder)).toBe(true)

    // a link in it goes, what it points to stays
    symlinkSync(kept, join(folder, 'tensorboard'))
    const { code, out } = await regauge(['runs', 'rm', 'old', '--yes', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual([{ folder, checkpoints: 1, bytes: expect.any(Number) }])
    expect(existsSync(folder)).toBe(false)
    expect(readFileSync(join(kept, 'text'), 'utf8')).toBe('mine')
    expect(readdirSync(join(work, 'runs')).filter((name) => name.startsWith('.'))).toEqual([])
    rmSync(join(work, 'runs', 'link'))
    rmSync(join(work, 'runs', 'bare'), { recursive: true })
  })

  it('says that there are none', async () => {
    expect(await regauge(['runs', 'list', '--runs', 'nowhere'])).toEqual({
      code: 0,
      out: '',
      err: 'no runs in nowhere; regauge train begins one\n',
    })
    expect((await regauge(['runs', 'list', '--runs', 'nowhere', '--json'])).out).toBe('[]\n')
  })
})

describe('regauge doctor', () => {
  it('finds this machine fit, or names a fix for each thing that is not', async () => {
    const { code, out } = spawned(['doctor', '--json'])
    const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: { ok: boolean; fix?: string }[] }
    expect(code).toBe(ok ? 0 : 3)
    for (const finding of findings) expect(finding.ok || finding.fix !== undefined).toBe(true)
  })

  it('says each thing within 110 columns, without the insides of libraries, and no more than is so', async () => {
    const { out, err } = spawned(['doctor'])
    for (const line of out.split('\n')) expect(line.includes(' ') ? line.length : 0).toBeLessThanOrEqual(180)
    expect(out).not.toMatch(/\.(cc|cpp):\d+|operator ?\(\)|lambda/)
    if (/^!/m.test(out)) expect(err).not.toContain('all is well')
    expect(verdict(0, 0, 9)).toBe('all is well')
    expect(verdict(0, 3, 9)).toBe('nothing that training needs is broken; 3 of 9 cannot be used here')
    expect(verdict(1, 3, 9)).toBe('1 of 9 are broken')
  })
})

describe('regauge completion', () => {
  it('completes words in bash', async () => {
    const cases = {
      'regauge tr': 'train',
      'regauge runs ': 'list show compare rm',
      'regauge init --recipe ': 'scratch jsonl continue',
      'regauge init -r c': 'continue',
      'regauge train --s': '--set',
      'regauge runs show --j': '--json',
      'regauge completion ': 'bash zsh fish powershell',
      'regauge schema ': '',
      'regauge plan --model llama-3-': 'llama-3-70b',
    }
    const lines = Object.keys(cases).map((line) => {
      const words = line.split(' ')
      const quoted = words.map((word) => `'${word}'`).join(' ')
      return `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _regauge; echo "\${COMPREPLY[*]}"`
    })
    const script = `source <('${process.execPath}' '${main}' completion bash)\n${lines.join('\n')}`
    expect(shell(script)).toEqual({ code: 0, out: `${Object.values(cases).join('\n')}\n`, err: '' })
  })

  it.each(SHELLS)('knows every command and option in %s', (which) => {
    const script = completionScript(which)
    for (const name of COMMAND_NAMES) {
      for (const word of name.split(' ')) expect(script).toContain(word)
      for (const option of Object.keys(COMMANDS[name].options)) expect(script).toContain(option)
    }
  })

  // nothing here runs PowerShell: what can be told of its text is held to
  it('writes PowerShell whose quotes and brackets close, and whose keys stand once in any case', () => {
    const script = completionScript('powershell')
    const bare = script.replaceAll(/'(?:[^']|'')*'|"[^"]*"/g, (text) => {
      expect(text).not.toContain('\n')
      return '_'
    })
    expect(bare).not.toMatch(/['"]/)
    const open: string[] = []
    const pairs: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' }
    for (const letter of bare.replaceAll(/^ *#.*$/gm, '')) {
      if ('([{'.includes(letter)) open.push(letter)
      else if (letter in pairs) expect(open.pop()).toBe(pairs[letter])
    }
    expect(open).toEqual([])
    for (const [, body] of script.matchAll(/\[ordered\]@\{ (.*?) \}(?=[;\s]|$)/gm)) {
      const keys = [...body!.matchAll(/(?:^|; )'((?:[^']|'')*)' = /g)].map(([, key]) => key!.toLowerCase())
      expect(new Set(keys).size).toBe(keys.length)
    }
    expect(script).toContain(
      `'completion' = @{ Options = [ordered]@{ '--json' = 'Print results and errors as JSON'; '--help' = 'Show help' }; Values = [ordered]@{  }; Words = @('bash', 'zsh', 'fish', 'powershell') }`,
    )
    expect(script).toContain(`'--recipe' = @('scratch', 'jsonl', 'continue'); '-r' = @('scratch',`)
  })
})
