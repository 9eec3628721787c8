/** What is said of things that were thrown: anything can be, also what has no text. */
export function reasonOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.message) : String(thrown);
  } catch {
    return 'something without a text';
  }
}
