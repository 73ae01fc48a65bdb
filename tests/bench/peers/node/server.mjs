// The job as a user of fastify would write it: @fastify/http-proxy fetches, @casl/ability decides, JSON is rebuilt.
//
//   node server.mjs PORT BACKEND RULES       (RULES: JSON {"tokens": {token: profile}, "matrix": {profile: [rubric]}})
//
// Tuned fairly: no request log, one undici pool of kept connections, one ability for each profile made at the start,
// no header of the client passed on, nothing of the answer piped through streams that is needed whole anyway.
import { readFileSync } from 'node:fs'
import { createMongoAbility } from '@casl/ability'
import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'

const [port, backend, rules] = process.argv.slice(2)
const { tokens, matrix } = JSON.parse(readFileSync(rules, 'utf8'))
const profiles = new Map(Object.entries(tokens))
const abilities = new Map(
  Object.entries(matrix).map(([profile, rubrics]) => [
    profile,
    createMongoAbility(rubrics.map((rubric) => ({ action: 'read', subject: rubric })))
  ])
)

const app = Fastify({ logger: false, keepAliveTimeout: 60_000 })
app.decorateRequest('ability', null)

function identify (request, reply, done) {
  const header = request.headers.authorization
  const profile = header?.startsWith('Bearer ') ? profiles.get(header.slice(7)) : undefined
  if (profile === undefined) {
    reply.code(401).send({ error: 'unknown token' })
    return
  }
  request.ability = abilities.get(profile)
  done()
}

function redact (request, reply, { stream }) {
  const chunks = []
  stream.on('data', (chunk) => chunks.push(chunk))
  stream.on('error', () => reply.code(502).send({ error: 'the backend broke off' }))
  stream.on('end', () => {
    const document = JSON.parse(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
    const kept = {}
    for (const rubric in document.rubriques) {
      if (request.ability.can('read', rubric)) kept[rubric] = document.rubriques[rubric]
    }
    reply.send(JSON.stringify({ numero: document.numero, caisse: document.caisse, rubriques: kept }))
  })
}

app.register(proxy, {
  upstream: backend,
  prefix: '/dossiers',
  rewritePrefix: '/dossiers',
  httpMethods: ['GET'],
  undici: { connections: 64, pipelining: 1, keepAliveTimeout: 60_000 },
  disableRequestLogging: true,
  preHandler: identify,
  replyOptions: {
    rewriteRequestHeaders: (_request, { host }) => ({ host }),
    rewriteHeaders: () => ({ 'content-type': 'application/json' }),
    onResponse: redact
  }
})

await app.listen({ host: '127.0.0.1', port: Number(port) })
