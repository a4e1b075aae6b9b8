/** @file HTML that cannot be broken out of: every text is escaped unless it is HTML already. */
import { harmless } from '../../harmless.ts'

/** A piece of HTML. */
export interface Html {
  readonly html: string
}

type Part = string | number | Html | readonly Part[] | undefined

/** A template whose values are escaped; lists are joined, undefined is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  return { html: strings.map((text, i) => (i === 0 ? text : render(values[i - 1]) + text)).join('') }
}

function render(part: Part): string {
  if (part === undefined) return ''
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part))
  return 'html' in part ? part.html : part.map(render).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes what has a meaning in HTML; control characters, which no HTML may hold, are taken out. */
export function escapeHtml(text: string): string {
  return harmless(text).replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign]!)
}

/** Data inside a script element: JSON in which no tag can begin or end. */
export function embeddedJson(value: unknown): Html {
  return { html: JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028') }
}
