/** An answer that is not 2xx: a problem of RFC 9457, with every fault where there are several. */
export class ApiProblem extends Error {
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.name = 'ApiProblem'
    this.status = status
  }

  static async of(request: string, response: Response): Promise<ApiProblem> {
    const text = await response.text()
    return new ApiProblem(`${request}: ${response.status} ${explained(text)}`, response.status)
  }
}

interface Problem {
  readonly detail?: string
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[]
}

function explained(text: string): string {
  try {
    const { detail = text, errors = [] } = JSON.parse(text) as Problem
    return [detail, ...errors.map(({ pointer, message }) => `  ${pointer || '/'} ${message}`)].join('\n')
  } catch {
    return text
  }
}
