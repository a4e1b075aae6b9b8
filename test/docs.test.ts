/** @file The README and docs/: links lead to files and headings that exist, and commands are ones that regauge takes. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parseLine } from '../src/cli/parse.ts'

const ROOT = resolve(import.meta.dirname, '..')

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

const textOf = (page: string): string => readFileSync(join(ROOT, page), 'utf8')

/** Text without fenced blocks and code spans, in which brackets are no links. */
function proseOf(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '')
}

/** Anchors of a page's headings, as GitHub makes them: lower case, punctuation left out, spaces as hyphens. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

function linksOf(text: string): string[] {
  return [...proseOf(text).matchAll(/\]\(([^()\s]+)\)/g)].map(([, to]) => to!)
}

/** Why a link of a page leads nowhere; undefined when it does lead somewhere. Other sites are not asked. */
function problem(page: string, link: string): string | undefined {
  if (/^[a-z]+:/.test(link)) return link.startsWith('https://') ? undefined : 'is neither a file nor https'
  const [path, anchor] = link.split('#') as [string, string | undefined]
  const target = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path)
  if (relative(ROOT, target).startsWith('..')) return 'leaves the repository'
  if (!existsSync(target)) return 'does not exist'
  if (anchor === undefined) return undefined
  if (statSync(target).isDirectory() || !target.endsWith('.md')) return 'has no headings'
  return anchorsOf(readFileSync(target, 'utf8')).has(anchor) ? undefined : 'has no such heading'
}

test.each(PAGES)('links of %s lead somewhere', (page) => {
  const problems = linksOf(textOf(page)).flatMap((link) => {
    const why = problem(page, link)
    return why === undefined ? [] : [`${link} ${why}`]
  })
  expect(problems).toEqual([])
})

test('links and headings are found as GitHub has them', () => {
  expect(linksOf('see [a](b.md#c) and `[no](link)`, ![a picture](p.png)')).toEqual(['b.md#c', 'p.png'])
  expect(anchorsOf('# Runtimes: on any chip\n```\n# no\n```\n## Float16, `bf16`')).toEqual(
    new Set(['runtimes-on-any-chip', 'float16-bf16']),
  )
  expect(problem('README.md', 'docs/none.md')).toBe('does not exist')
  expect(problem('README.md', '../x')).toBe('leaves the repository')
  expect(problem('docs/speed.md', '#nothing')).toBe('has no such heading')
})

test('every page of docs/ is reached from the README', () => {
  const reached = new Set<string>(['README.md'])
  for (const page of reached) {
    for (const link of linksOf(textOf(page))) {
      const to = relative(ROOT, resolve(ROOT, dirname(page), link.split('#')[0]!))
      if (PAGES.includes(to)) reached.add(to)
    }
  }
  expect(PAGES.filter((page) => page !== 'CHANGELOG.md' && !reached.has(page))).toEqual([])
})

test('docs/training.md says what each field of an event is', () => {
  const source = textOf('src/train/log/events.ts')
  const docs = textOf('docs/training.md')
  const section = /## What a log line says\n([\s\S]*?)\n## /.exec(docs)![1]!
  const events = [...source.matchAll(/export interface (\w+)Event \{\n([\s\S]*?)\n\}/g)]
  expect(events.length).toBeGreaterThan(8)
  for (const [, name, body] of events) {
    const row = section.split('\n').find((line) => line.startsWith(`| \`${name!.toLowerCase()}\``))
    const fields = [...body!.matchAll(/^ {2}readonly (\w+)/gm)].map(([, field]) => field!)
    for (const field of fields.filter((one) => one !== 'type')) {
      expect([name, field, row]).toEqual([name, field, expect.stringContaining(`\`${field}\``)])
    }
  }
})

/** Words of a shell line, as far as our pages go: quotes, no substitutions. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
}

/** Lines of the pages' shell blocks that start regauge, continued lines joined, comments and variables left out. */
function commandsOf(text: string): string[] {
  return [...text.matchAll(/^```(?:sh)?\n([\s\S]*?)^```$/gm)].flatMap(([, block]) =>
    block!
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.replace(/^\$ /, '').replace(/\s+#.*$/, ''))
      .flatMap((line) => /^(?:[A-Z_]+=\S+ )*regauge (.*)$/.exec(line)?.[1] ?? []),
  )
}

test('every command of the pages is one that regauge takes', async () => {
  const commands = PAGES.flatMap((page) => commandsOf(textOf(page)).map((line) => ({ page, line })))
  expect(commands.length).toBeGreaterThan(15)
  for (const { page, line } of commands) {
    await expect(parseLine(wordsOf(line)), `${page}: regauge ${line}`).resolves.toBeDefined()
  }
  await expect(parseLine(wordsOf('train --no-such'))).rejects.toThrow('--no-such')
})
