/** @file A run written in JavaScript or TypeScript: the default export of a module. */
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { RegaugeError } from '../../errors.ts'
import type { Source } from '../../formats/index.ts'

export const MODULE_ENDINGS = ['.ts', '.mts', '.js', '.mjs'] as const

/** Runs the module and takes its default export. `path` is absolute, `file` its name for people. */
export async function loadModule(path: string, file: string): Promise<Source> {
  const typed = ['.ts', '.mts'].includes(extname(path))
  const native = 'typescript' in process.features && Boolean(process.features.typescript)
  const exported = typed && !native ? await importTyped(path, file) : await importPlain(path, path, file)
  if (exported === undefined) {
    const message = 'the module has no default export'
    throw new RegaugeError('usage', {
      code: 'RUN_MODULE',
      message,
      file,
      hint: 'write "export default defineRun({ ... })"',
    })
  }
  return { value: exported, issues: [], locate: () => ({ file }) }
}

/** The file as JavaScript, beside the original for the length of the import, so that its imports resolve. */
async function importTyped(path: string, file: string): Promise<unknown> {
  const typescript = findTypeScript(path, file)
  const { outputText } = typescript.transpileModule(readFileSync(path, 'utf8'), {
    fileName: path,
    compilerOptions: { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2022 },
  })
  const compiled = join(dirname(path), `.${randomBytes(6).toString('hex')}.run.mjs`)
  try {
    writeFileSync(compiled, outputText, { flag: 'wx' })
  } catch (cause) {
    const hint = 'make the folder writable, or write the run as .mjs or .yaml'
    const message = `the compiled module cannot be written to ${dirname(path)}`
    throw new RegaugeError('environment', { code: 'RUN_MODULE', message, file, hint }, { cause })
  }
  try {
    return await importPlain(compiled, path, file)
  } finally {
    rmSync(compiled, { force: true })
  }
}

/** What is used of the typescript package. */
interface TypeScript {
  readonly ModuleKind: { readonly ESNext: number }
  readonly ScriptTarget: { readonly ES2022: number }
  transpileModule(
    text: string,
    options: { fileName: string; compilerOptions: { module: number; target: number } },
  ): { outputText: string }
}

function findTypeScript(path: string, file: string): TypeScript {
  for (const base of [path, import.meta.url]) {
    try {
      const typescript = createRequire(base)('typescript') as Partial<TypeScript>
      // from version 7 on the package is a compiler alone
      if (typescript.transpileModule !== undefined) return typescript as TypeScript
    } catch {
      // Not there; the next place may have it.
    }
  }
  const message = `Node ${process.versions.node} cannot read TypeScript by itself, and the package typescript (6 or older) is not installed`
  const hint =
    'use Node 22.18 or newer, run `npm install --save-dev typescript@6`, or write the run as .mjs or .yaml'
  throw new RegaugeError('usage', { code: 'RUN_MODULE', message, file, hint })
}

async function importPlain(path: string, shown: string, file: string): Promise<unknown> {
  try {
    const module = (await import(/* @vite-ignore */ pathToFileURL(path).href)) as { default?: unknown }
    return module.default
  } catch (cause) {
    // Thrown by defineRun: the problems are known; the file is named here.
    if (isRegaugeError(cause)) {
      throw new RegaugeError(
        cause.kind,
        cause.issues.map((issue) => ({ file, ...issue })),
      )
    }
    const error = cause instanceof Error ? cause : new Error(String(cause))
    const message = `the module failed: ${error.message.split('\n')[0]!.replaceAll(path, shown)}`
    const missing = /Cannot find package '([^']+)'/.exec(error.message)?.[1]
    const hint = missing === undefined ? undefined : `npm install ${missing}`
    throw new RegaugeError('usage', { code: 'RUN_MODULE', message, file, ...(hint && { hint }) }, { cause })
  }
}

/** Also true for the error of another copy of regauge, which the module may have imported. */
function isRegaugeError(error: unknown): error is RegaugeError {
  return error instanceof Error && error.name === 'RegaugeError' && 'issues' in error && 'kind' in error
}
