/** @file Files that people write in YAML or JSON: read within bounds, checked by a schema, every problem with its place. */
export {
  expectedAt,
  keysAt,
  type Path,
  pathsOf,
  schemasAt,
} from './introspect.ts'
export { type Checked, type Problem, schemaProblems, show } from './problems.ts'
export { type FileKind, MAX_FILE_BYTES, type Place, parseSource, type Source } from './source.ts'
