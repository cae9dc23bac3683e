// An identity provider for tests, told what to do by its parent: one JSON command a line on standard input, one JSON answer
// a line on standard output. It ends when its input ends, so that no test leaves one behind.
//
//   {"do": "make-key", "alg", "kid"}                     -> {"jwk"}, private; the parent keeps it, to bring it back after a restart
//   {"do": "serve", "port", "keys", "alg", "kid", "tls"} -> {"port"}; publishes `keys` and signs access tokens with the one named.
//                                                          A second time it changes keys at once, on the same port. Where they are left out:
//                                                          "keys" is a new one, "host" is this machine alone, "issuer" is its address.
//                                                          On "plainPort" it answers without TLS as well
//   {"do": "encrypt", "pem", "alg", "enc"}               -> {}; from now on access tokens for urn:test:sealed are encrypted for that public key
//   {"do": "count"}                                      -> {"count"}, of key sets handed out
//
// Arguments: the folder whose node_modules hold oidc-provider; and a JSON list of commands, if there is no parent: then it never ends by itself.

import { X509Certificate, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// The library warns on the console about plain http and short configurations; standard output is for answers only.
console.log = console.info = console.warn = console.error;
const installed = createRequire(`${process.argv[2]}/`);
const { default: Provider } = await import(pathToFileURL(installed.resolve('oidc-provider')));

const YEAR_S = 365 * 24 * 3600;
const RESOURCES = {
  'urn:test:orders': { audience: 'orders-api', format: 'jwt' },
  'urn:test:billing': { audience: 'billing-api', format: 'jwt' },
  'urn:test:opaque': { audience: 'orders-api', format: 'opaque' },
  'urn:test:sealed': { audience: 'orders-api', format: 'jwt', isSealed: true },
};
const CLIENT = {
  client_id: 'test-client',
  client_secret: 'not-a-secret-outside-of-tests',
  grant_types: ['client_credentials', 'authorization_code'],
  response_types: ['code'],
  redirect_uris: ['https://client.invalid/callback'],
};
// Its tokens are bound to the certificate that whoever stands in front tells of, in base64 of DER.
const MACHINE = {
  client_id: 'test-machine',
  client_secret: 'not-a-secret-outside-of-tests',
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  tls_client_certificate_bound_access_tokens: true,
};
const CERTIFICATE = 'x-client-certificate';
// Its tokens are bound to the key that it proves.
const PROVER = {
  client_id: 'test-prover',
  client_secret: 'not-a-secret-outside-of-tests',
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  dpop_bound_access_tokens: true,
};

const KEY_PAIRS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};

let server;
let provider;
let envelope;
let keySets = 0;

function makeKey({ alg, kid }) {
  const jwk = KEY_PAIRS[alg]().privateKey.export({ format: 'jwk' });
  return { jwk: { ...jwk, alg, kid, use: 'sig' } };
}

async function serve({ port, plainPort, host = '127.0.0.1', issuer, keys, alg, kid, tls }) {
  const answer = (request, response) => route(request, response);
  if (!server) {
    server = tls ? createTlsServer(tls, answer) : createServer(answer);
    await listening(server, port, host);
    if (plainPort) await listening(createServer(answer), plainPort, host);
  }
  const bound = server.address().port;
  provider = makeProvider(issuer ?? `${tls ? 'https' : 'http'}://127.0.0.1:${bound}`, keys ?? [makeKey({ alg, kid }).jwk], alg, kid);
  return { port: bound };
}

function encrypt({ pem, alg, enc }) {
  envelope = { alg, enc, key: createPublicKey(pem) };
  return {};
}

function listening(one, port, host) {
  return new Promise((resolve, reject) => one.once('error', reject).listen(port, host, resolve));
}

function makeProvider(issuer, keys, alg, kid) {
  const resource = (name) => RESOURCES[name] ?? { audience: name, format: 'jwt' };
  return new Provider(issuer, {
    jwks: { keys },
    clients: [CLIENT, MACHINE, PROVER].map((client) => ({ ...client, id_token_signed_response_alg: alg })),
    pkce: { required: () => true },
    cookies: { keys: ['not-a-secret-outside-of-tests'] },
    ttl: { AccessToken: 10 * YEAR_S, ClientCredentials: 10 * YEAR_S, IdToken: YEAR_S, Grant: 600, Interaction: 600, Session: 600 },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: ({ req }) => {
          const told = req.headers[CERTIFICATE];
          return told && new X509Certificate(Buffer.from(told, 'base64'));
        },
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, name) => ({
          scope: 'orders.read orders.write',
          audience: resource(name).audience,
          accessTokenFormat: resource(name).format,
          accessTokenTTL: 10 * YEAR_S,
          jwt: { sign: { alg, kid }, encrypt: resource(name).isSealed ? envelope : undefined },
        }),
      },
    },
  });
}

// Everybody consents to everything: what a test is about comes after.
async function loadExistingGrant({ oidc }) {
  const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
  grant.addOIDCScope('openid');
  grant.addResourceScope('urn:test:orders', 'orders.read orders.write');
  await grant.save();
  return grant;
}

function route(request, response) {
  if (request.url === '/jwks') keySets += 1;
  if (request.url.startsWith('/interaction/')) {
    // Nobody types a password here: whoever comes is alice.
    return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
  }
  return provider.callback()(request, response);
}

const COMMANDS = { 'make-key': makeKey, serve, encrypt, count: () => ({ count: keySets }) };

if (process.argv[3]) {
  for (const command of JSON.parse(process.argv[3])) await COMMANDS[command.do](command);
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    const answer = await COMMANDS[command.do](command);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}
