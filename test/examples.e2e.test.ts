/** @file The examples as a newcomer runs them, each in a process of its own, and what they print. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
// each takes seconds; a machine that is busy with other tests takes its time
const TIMEOUT = 240_000
const output = mkdtempSync(join(tmpdir(), 'regauge-examples-'))
afterAll(() => rmSync(output, { recursive: true, force: true }))

/** Runs an example and gives the lines that it prints. */
async function example(name: string, ...words: string[]): Promise<string[]> {
  const tsx = join(root, 'node_modules/tsx/dist/cli.mjs')
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [tsx, `examples/${name}`, ...words],
    {
      cwd: root,
    },
  )
  expect(stderr).toBe('')
  return stdout.trimEnd().split('\n')
}

/** The numbers after `label` in lines such as `step 20: loss 5.102`. */
function numbers(lines: readonly string[], label: string): number[] {
  return lines.filter((line) => line.includes(`${label} `)).map((line) => Number(line.split(`${label} `)[1]))
}

describe('examples', () => {
  test(
    'train.ts trains and writes; continue.ts goes on with what it left',
    async () => {
      const lines = await example('train.ts', output)
      const losses = numbers(lines, ': loss')
      expect(losses).toHaveLength(6)
      expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.5)
      expect(lines.filter((line) => line.startsWith('sample: My fellow Americans,'))).toHaveLength(2)
      expect(lines.find((line) => line.includes('bits per byte'))).toMatch(/^[12]\.\d\d bits per byte/)
      expect(lines.join('\n')).toMatch(/\nAmerica[\s\S]{20,}$/)

      const folder = join(output, 'speeches')
      const more = await example('continue.ts', folder, output)
      expect(more[0]).toMatch(/^\d+ parameters from .*step-00000120$/)
      // it begins where the other ended, not from nothing
      expect(numbers(more, ': loss')[0]).toBeLessThan(losses.at(-1)! + 0.5)
      expect(numbers(more, 'held-out loss')[0]).toBeLessThan(numbers(more, ': loss')[0]! + 0.2)
      const [checkpoint] = more.at(-1)!.match(/\/[^"]+/)!
      expect(existsSync(join(checkpoint, 'model.safetensors'))).toBe(true)

      // a finished run is left as it is
      const again = await example('train.ts', output)
      expect(numbers(again, ': loss')).toEqual([])
      expect(again.at(-1)).toBe(lines.at(-1))
    },
    TIMEOUT,
  )

  test(
    'plan.ts names the best layouts, and why others lost',
    async () => {
      const lines = await example('plan.ts')
      expect(lines[0]).toBe('1024 Ascend 910B2, mindspeed-llm')
      const times = lines.slice(1, 4).map((line) => Number(/: ([\d.]+) s \(/.exec(line)![1]))
      expect(times).toEqual([...times].sort((a, b) => a - b))
      expect(lines.filter((line) => line.startsWith('lost: '))).toHaveLength(3)
      expect(lines.find((line) => line.includes('more than the best'))).toBeDefined()
    },
    TIMEOUT,
  )

  test(
    'verify.ts finds a resumed run to be the run',
    async () => {
      const lines = await example('verify.ts', output)
      expect(lines[0]).toMatch(/^stopped and resumed: same, drawn in .*verify\.html$/)
      expect(existsSync(join(output, 'verify.html'))).toBe(true)
      expect(lines[1]).toMatch(/^begun from .*: same, spread found by /)
    },
    TIMEOUT,
  )

  test(
    'custom-step.ts learns',
    async () => {
      const lines = await example('custom-step.ts')
      expect(lines[0]).toMatch(/^\d+ nodes, \d+ bytes of ONNX$/)
      const errors = numbers(lines, 'mean squared error')
      expect(errors).toHaveLength(5)
      expect(errors[0]).toBeGreaterThan(0.1)
      expect(errors.at(-1)).toBeLessThan(1e-4)
    },
    TIMEOUT,
  )
})
