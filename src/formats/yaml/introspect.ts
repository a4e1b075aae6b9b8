/** @file Questions to the schema: what stands at a path, which keys it has, what it expects in words. */
import { z } from 'zod'

/** Keys from the root to a value of a file. */
export type Path = readonly (string | number)[]

/** The schema without what makes it optional or gives it a default. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.def.innerType
  }
  return inner
}

/** What the schema allows in place of each other: the members of a union, null of a nullable, else itself. */
export function alternatives(schema: z.core.$ZodType): z.core.$ZodType[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodNullable) return [...alternatives(inner.def.innerType), z.null()]
  if (inner instanceof z.ZodUnion) return inner.def.options.flatMap((option) => alternatives(option))
  return [inner]
}

/** The schemas that can stand at `path` beneath `root`; none when the path leads nowhere. */
export function schemasAt(root: z.core.$ZodType, path: Path): z.core.$ZodType[] {
  let here = alternatives(root)
  for (const key of path) {
    here = here.flatMap((schema) => {
      if (schema instanceof z.ZodObject) {
        const child = Object.hasOwn(schema.shape, key) ? schema.shape[key] : undefined
        return child === undefined ? [] : alternatives(child)
      }
      if (schema instanceof z.ZodRecord) return alternatives(schema.def.valueType)
      if (schema instanceof z.ZodArray) return isIndex(key) ? alternatives(schema.def.element) : []
      if (schema instanceof z.ZodTuple) {
        const item = schema.def.items[Number(key)]
        return item === undefined ? [] : alternatives(item)
      }
      return []
    })
  }
  return here
}

/** A place in a list; from the command line it comes as text. */
function isIndex(key: string | number): boolean {
  return typeof key === 'number' || /^\d+$/.test(key)
}

/** The keys that a mapping at `path` may have. */
export function keysAt(root: z.core.$ZodType, path: Path): string[] {
  return [...new Set(mappingsAt(root, path).flatMap(({ shape }) => Object.keys(shape)))]
}

/** The mappings that may stand at `path`. */
export function mappingsAt(root: z.core.$ZodType, path: Path): z.ZodObject[] {
  return schemasAt(root, path).filter((schema) => schema instanceof z.ZodObject)
}

/** The keys of a mapping that have one value only, with it: they tell it from the others in its place. */
export function fixedKeys({
  shape,
}: z.ZodObject): { key: string; value: string; fits(value: unknown): boolean }[] {
  return Object.entries(shape).flatMap(([key, child]) => {
    const [literal, ...more] = alternatives(child)
    if (!(literal instanceof z.ZodLiteral) || more.length > 0) return []
    const fits = (value: unknown) => (child as z.ZodType).safeParse(value).success
    return [{ key, value: [...literal.values].join(', '), fits }]
  })
}

/** The first description on the way from the value at `path` outwards to its wrappers. */
export function descriptionAt(root: z.core.$ZodType, path: Path): string | undefined {
  const parents = schemasAt(root, path.slice(0, -1))
  const key = path.at(-1)
  for (const parent of parents) {
    if (parent instanceof z.ZodObject && key !== undefined && Object.hasOwn(parent.shape, key)) {
      const child: z.ZodType | undefined = parent.shape[key]
      return child?.description
    }
  }
  return undefined
}

/** The keys of a file at all depths, each by the way to it from the root. */
export function pathsOf(root: z.core.$ZodType): string[][] {
  const found = new Map<string, string[]>()
  const visit = (schema: z.core.$ZodType, path: string[]): void => {
    for (const one of alternatives(schema)) {
      if (!(one instanceof z.ZodObject)) continue
      for (const [name, child] of Object.entries(one.shape)) {
        const way = [...path, name]
        found.set(way.join('.'), way)
        visit(child as z.ZodType, way)
      }
    }
  }
  visit(root, [])
  return [...found.values()]
}

/** Where in the file a key is at home: the sections that have it. */
export function homesOf(root: z.core.$ZodType, key: string): string[] {
  return pathsOf(root)
    .filter((path) => path.length > 1 && path.at(-1) === key)
    .map((path) => path.slice(0, -1).join('.'))
}

/** What may stand at `path`, in words: `a whole number`, `one of a, b, c`, `text or a list`. */
export function expectedAt(root: z.core.$ZodType, path: Path): string {
  const schemas = schemasAt(root, path)
  const literals = schemas.flatMap((schema) => (schema instanceof z.ZodLiteral ? [...schema.values] : []))
  const others = schemas.filter((schema) => !(schema instanceof z.ZodLiteral)).map(expectation)
  const fixed = literals.length === 0 ? [] : [`one of ${literals.join(', ')}`]
  return [...new Set([...fixed, ...others])].join(' or ')
}

function expectation(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodEnum) return `one of ${schema.options.join(', ')}`
  if (schema instanceof z.ZodNumber) return schema.format === 'safeint' ? 'a whole number' : 'a number'
  if (schema instanceof z.ZodString) return 'text'
  if (schema instanceof z.ZodBoolean) return 'true or false'
  if (schema instanceof z.ZodNull) return 'null'
  if (schema instanceof z.ZodTuple) return `a list of ${schema.def.items.length} values`
  if (schema instanceof z.ZodArray) return 'a list'
  if (schema instanceof z.ZodObject) return `a mapping with the keys ${Object.keys(schema.shape).join(', ')}`
  return 'a mapping'
}
