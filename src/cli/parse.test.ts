/** @file Command lines: what they mean, and that each mistake is told with a way out. */
import picocolors from 'picocolors'
import { describe, expect, it } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { reportError } from './app.ts'
import { helpText } from './help.ts'
import { COMMAND_NAMES, COMMANDS, type CommandSpec } from './options.ts'
import { parseLine } from './parse.ts'
import { type Output, openTerminal } from './ui/terminal.ts'

const plain = picocolors.createColors(false)

function mistakes(...words: string[]): string[] {
  try {
    parseLine(words)
    return []
  } catch (error) {
    return (error as RegaugeError).message.split('\n')
  }
}

describe('parseLine', () => {
  it('reads options of every kind', () => {
    const words = ['sample', 'runs/a', 'Once', '--tokens=5', '--temperature', '0.5', '-t', '7', '--json']
    expect(parseLine(words)).toEqual({
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
    expect(parseLine(['train', '--set', 'a=1', '--set=b=2'])).toMatchObject({
      line: { options: { set: ['a=1', 'b=2'] } },
    })
    expect(parseLine(['sample', 'r', '--', '--json'])).toMatchObject({
      line: { arguments: ['r', '--json'], options: { json: false } },
    })
  })

  it('tells what is wrong', () => {
    expect(mistakes('verify', '--out', '')).toEqual(['--out needs a value: --out <file>'])
    expect(mistakes('chips', '--chips=')).toEqual(['--chips needs a value: --chips <file>'])
    expect(mistakes('sample')).toEqual([
      'sample needs <run>: for instance: regauge sample runs/books "Once upon a time"',
    ])
    expect(mistakes('sample', 'r', '--tokens', '1.5', '--top-p=x')).toEqual([
      '--tokens must be a whole number, 1 or more, got "1.5"',
      '--top-p must be a number, 0 or more, got "x"',
    ])
    expect(mistakes('train', 'run.yaml', 'train.steps=3')).toEqual([
      'train takes no further argument, got "train.steps=3": did you mean --set train.steps=3?',
    ])
    expect(mistakes('completion', 'tcsh')).toEqual(['<shell> must be one of bash, zsh, fish, got "tcsh"'])
    expect(mistakes('check', '--json=yes')).toEqual(['--json takes no value, got "yes"'])
    expect(mistakes('--json', 'check')).toEqual(['a command comes before --json: see regauge --help'])
    expect(mistakes('constructor')).toEqual(['unknown command "constructor": see regauge --help'])
    expect(mistakes('train', '--__proto__')).toEqual(['unknown option --__proto__: see regauge train --help'])
  })
})

describe('help', () => {
  it.each(COMMAND_NAMES)('%s has two examples or more, which parse', (name) => {
    const spec: CommandSpec = COMMANDS[name]
    const help = helpText(name, plain)
    expect(spec.examples.length).toBeGreaterThanOrEqual(2)
    for (const { command } of spec.examples) {
      expect(help).toContain(command)
      const words = [...(command.match(/regauge ([^<>|)]+)/)?.[1] ?? '').matchAll(/"([^"]*)"|(\S+)/g)]
      expect(mistakes(...words.map((match) => match[1] ?? match[2]!))).toEqual([])
    }
  })

  it('fits 110 columns, but for examples, which are copied whole', () => {
    for (const topic of ['', 'runs', ...COMMAND_NAMES]) {
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
