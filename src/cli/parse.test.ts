/** @file Command lines: what they mean, and that each mistake is told with a way out. */
import picocolors from 'picocolors'
import { describe, expect, it } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { reportError } from './app.ts'
import { helpText } from './help.ts'
import { COMMAND_NAMES, COMMANDS, type CommandSpec, type OptionSpec } from './options.ts'
import { parseLine } from './parse.ts'
import { type Output, openTerminal } from './ui/terminal.ts'

const plain = picocolors.createColors(false)

async function mistakes(...words: string[]): Promise<string[]> {
  try {
    await parseLine(words)
    return []
  } catch (error) {
    return (error as RegaugeError).message.split('\n')
  }
}

describe('parseLine', () => {
  it('reads options of every kind', async () => {
    const words = ['sample', 'runs/a', 'Once', '--tokens=5', '--temperature', '0.5', '-t', '7', '--json']
    expect(await parseLine(words)).toEqual({
      kind: 'run',
      line: {
        command: 'sample',
        arguments: ['runs/a', 'Once'],
        options: {
          tokens: 7,
          temperature: 0.5,
          'top-k': undefined,
          'top-p': undefined,
          seed: undefined,
          threads: undefined,
          json: true,
        },
      },
    })
    expect(await parseLine(['train', '--set', 'a=1', '--set=b=2'])).toMatchObject({
      line: { options: { set: ['a=1', 'b=2'] } },
    })
    expect(await parseLine(['sample', 'r', '--', '--json'])).toMatchObject({
      line: { arguments: ['r', '--json'], options: { json: false } },
    })
  })

  it('tells what is wrong', async () => {
    expect(await mistakes('verify', '--out', '')).toEqual(['--out needs a value: --out <file>'])
    expect(await mistakes('chips', '--chips=')).toEqual(['--chips needs a value: --chips <file>'])
    expect(await mistakes('sample')).toEqual([
      'sample needs <run>: for instance: regauge sample runs/books "Once upon a time"',
    ])
    expect(await mistakes('sample', 'r', '--tokens', '1.5', '--top-p=x')).toEqual([
      '--tokens must be a whole number, 1 or more, got "1.5"',
      '--top-p must be a number, 0 or more, got "x"',
    ])
    expect(await mistakes('train', 'run.yaml', 'train.steps=3')).toEqual([
      'train takes no further argument, got "train.steps=3": did you mean --set train.steps=3?',
    ])
    expect(await mistakes('completion', 'tcsh')).toEqual([
      '<shell> must be one of bash, zsh, fish, powershell, got "tcsh"',
    ])
    expect(await mistakes('check', '--json=yes')).toEqual(['--json takes no value, got "yes"'])
    expect(await mistakes('--json', 'check')).toEqual(['a command comes before --json: see regauge --help'])
    expect(await mistakes('constructor')).toEqual(['unknown command "constructor": see regauge --help'])
    expect(await mistakes('train', '--__proto__')).toEqual([
      'unknown option --__proto__: see regauge train --help',
    ])
  })
})

describe('options that a command does not have', () => {
  const told = async (line: string) => (await mistakes(...line.split(' '))).join('; ')

  it('are refused in every command, and nothing follows from them', async () => {
    for (const name of COMMAND_NAMES) {
      const { arguments: taken, options }: CommandSpec = COMMANDS[name]
      const needed = [
        ...taken.flatMap(({ required, choices }) => (required ? [choices?.[0] ?? 'a'] : [])),
        ...Object.entries(options).flatMap(([option, { required }]) =>
          required ? [`--${option}`, 'a'] : [],
        ),
      ]
      for (const more of [['--zzzzzz'], ['--zzzzzz', 'value'], ['--zzzzzz=value'], ['-q']]) {
        const unknown = `unknown option ${more[0]!.split('=')[0]}`
        for (const words of [
          [...needed, ...more],
          [...more, ...needed],
        ]) {
          expect(await mistakes(...name.split(' '), ...words)).toEqual([
            `${unknown}: see regauge ${name} --help`,
          ])
        }
      }
    }
    expect(await told('runs --list')).toBe('unknown option --list: see regauge runs --help')
    expect(await told('sample runs/x hi --temprature 2')).toBe(
      'unknown option --temprature: did you mean --temperature?',
    )
    expect(await told('plan -m a --tokens 1T --seq 4k --batch 8 --gpus a100:8')).toBe(
      'unknown option --gpus: did you mean --on?',
    )
  })

  it('of other tools are known: each names an option that is there, and no two the same', () => {
    for (const name of COMMAND_NAMES) {
      const options: Readonly<Record<string, OptionSpec>> = COMMANDS[name].options
      const also = Object.values(options).flatMap((option) => option.also ?? [])
      expect(also.filter((word) => word in options)).toEqual([])
      expect(new Set(also).size).toBe(also.length)
    }
  })

  it.each([
    ['train --lr 1e-4', '--lr: write --set optimizer.learningRate=1e-4'],
    ['train --learning_rate=1e-4', '--learning_rate: write --set optimizer.learningRate=1e-4'],
    ['train run.yaml --step 10', '--step: write --set train.steps=10'],
    ['train --epochs 1', '--epochs: write --set train.epochs=1'],
    ['check --bf16', '--bf16: write --set train.precision=bfloat16'],
    ['train --resume', '--resume: give the folder of the run to go on with: regauge train runs/NAME'],
    ['train --device cpu', '--device: did you mean --on?'],
    ['train --sett a=1', '--sett: did you mean --set?'],
    [
      'train --gradient_accumulation_steps 4',
      '--gradient_accumulation_steps: write --set train.microBatchSize=... (train.batchSize over it is how many are accumulated)',
    ],
  ])('%s', async (line, hint) => expect(await told(line)).toBe(`unknown option ${hint}`))
})

describe('numbers', () => {
  it('take suffixes wherever an option is one', async () => {
    let seen = 0
    for (const name of COMMAND_NAMES) {
      const options: Readonly<Record<string, OptionSpec>> = COMMANDS[name].options
      for (const [option, { kind }] of Object.entries(options)) {
        if (kind === undefined) continue
        seen++
        const words = [...name.split(' '), ...(name === 'chips compare' ? ['a', 'b'] : ['r'])]
        const problems = await mistakes(...words, `--${option}`, '2k')
        expect(problems.filter((problem) => problem.startsWith(`--${option} must`))).toEqual([])
      }
    }
    expect(seen).toBeGreaterThan(8)
    expect(await parseLine(['sample', 'r', '--tokens', '1.5k', '--top-p', '1e-1'])).toMatchObject({
      line: { options: { tokens: 1500, 'top-p': 0.1 } },
    })
  })
})

describe('help', () => {
  it.each(COMMAND_NAMES)('%s has two examples or more, which parse', async (name) => {
    const spec: CommandSpec = COMMANDS[name]
    const help = helpText(name, plain)
    expect(spec.examples.length).toBeGreaterThanOrEqual(2)
    for (const { command } of spec.examples) {
      expect(help).toContain(command)
      const words = [...(command.match(/regauge ([^<>|)]+)/)?.[1] ?? '').matchAll(/"([^"]*)"|(\S+)/g)]
      expect(await mistakes(...words.map((match) => match[1] ?? match[2]!))).toEqual([])
    }
  })

  it('fits 110 columns, but for examples, which are copied whole', () => {
    for (const topic of [undefined, ...COMMAND_NAMES]) {
      const lines = helpText(topic, plain).split('\n')
      for (const line of lines.filter((one) => !one.startsWith('  regauge '))) {
        expect(line.length).toBeLessThanOrEqual(110)
      }
    }
  })
})

describe('reportError', () => {
  const told = (error: unknown, json: boolean) => {
    const [out, err]: [string[], string[]] = [[], []]
    const stream = (lines: string[]): Output => ({
      write: (text) => lines.push(text) > 0,
      on: () => {},
      off: () => {},
    })
    const code = reportError(error, json, openTerminal(stream(out), stream(err), {}))
    return { code, out: out.join(''), err: err.join('') }
  }

  it('shows a stack for our bugs only', () => {
    const bug = told(new TypeError('x is not a function'), false)
    expect(bug.code).toBe(1)
    expect(bug.err).toMatch(/^This is a bug of regauge[\s\S]*TypeError: x is not a function\n {4}at /)
    expect(JSON.parse(told('thrown', true).out)).toMatchObject({
      error: { code: 'bug', exit: 1, issues: [{ message: 'thrown' }] },
    })
    const user = told(
      new RegaugeError('data', { code: 'X', message: 'no text', file: 'a.txt', line: 3 }),
      false,
    )
    expect(user).toEqual({ code: 4, out: '', err: 'a.txt:3  no text\n' })
  })

  it('keeps what a file holds on one line and away from the terminal', () => {
    const message = 'got "\u001b[2Ja\n\tb\u0007"'
    const { err } = told(new RegaugeError('data', { code: 'X', message, file: 'a\u001b[31m.txt' }), false)
    expect(err).toBe('a.txt  got "a b\ufffd"\n')
  })

  it('tells what the system refuses as such', () => {
    const error = Object.assign(new Error("EROFS: read-only file system, open '/a/b'"), {
      code: 'EROFS',
      syscall: 'open',
      path: '/a/b',
    })
    expect(told(error, false)).toEqual({
      code: 3,
      out: '',
      err: "/a/b  EROFS: read-only file system, open '/a/b': the disk is read-only; choose another folder\n",
    })
    expect(told(Object.assign(new Error('x'), { code: 'ERR_OUT_OF_RANGE' }), false).code).toBe(1)
  })
})
