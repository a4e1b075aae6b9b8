/** @file The examples in the documentation of the sources, as programs. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface ExampleBlock {
  /** Below the folder that was searched. */
  readonly file: string
  readonly text: string
}

/** The blocks of TypeScript below each `@example` of the `.ts` files in a folder, in order of their names. */
export function exampleBlocks(folder: string): ExampleBlock[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  return files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .flatMap((file) => {
      const comments = readFileSync(join(folder, file), 'utf8').match(/\/\*\*[\s\S]*?\*\//g) ?? []
      const examples = comments.flatMap((comment) =>
        comment
          .split('\n')
          .map((line) => line.replace(/^ *\* ?/, ''))
          .join('\n')
          .split('@example')
          .slice(1),
      )
      return examples.map((example) => {
        const text = /```ts\n([\s\S]*?)```/.exec(example)?.[1]
        if (text === undefined) throw new Error(`${file}: an @example without a block of \`\`\`ts`)
        return { file, text }
      })
    })
}
