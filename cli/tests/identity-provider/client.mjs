// A client that proves its key (RFC 9449), as its users' own would: `oauth4webapi` does all that the standard asks of it.
//
// Arguments: the folder whose node_modules hold it; and {"issuer", "address", "resource", "scope", "client", "secret"}, of which the last two may be
// left out. Gets a token of the issuer, asks for the address with
// it, and then with what somebody has who has copied that: the same proof once more, and no proof at all. Prints the statuses:
// {"status", "copied", "bearer", "asked"}; `asked` is how often it had to ask, since a server may demand a nonce first.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const installed = createRequire(`${process.argv[2]}/`);
const oauth = await import(pathToFileURL(installed.resolve('oauth4webapi')));
const told = JSON.parse(process.argv[3]);
const { issuer, address, resource, scope } = told;

const options = { [oauth.allowInsecureRequests]: true };
const client = { client_id: told.client ?? 'test-prover' };
const secret = oauth.ClientSecretBasic(told.secret ?? 'not-a-secret-outside-of-tests');

const found = await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oidc' });
const server = await oauth.processDiscoveryResponse(new URL(issuer), found);
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
const granted = await oauth.clientCredentialsGrantRequest(server, client, secret, resource ? { resource, scope } : { scope }, { ...options, DPoP });
const { access_token: token, token_type: type } = await oauth.processClientCredentialsResponse(server, client, granted);
if (type !== 'dpop') throw new Error(`the token is a ${type} token`);

const sent = [];
const watched = { ...options, DPoP, [oauth.customFetch]: (url, init) => (sent.push(init.headers), fetch(url, init)) };
const call = () => oauth.protectedResourceRequest(token, 'GET', new URL(address), undefined, undefined, watched);
const answer = await call().catch(async (error) => {
  if (oauth.isDPoPNonceError(error)) return call();
  if (error instanceof oauth.WWWAuthenticateChallengeError) return error.response;
  throw error;
});
const copied = await fetch(address, { headers: sent.at(-1) });
const bearer = await fetch(address, { headers: { authorization: `Bearer ${token}` } });
console.log(JSON.stringify({ status: answer.status, copied: copied.status, bearer: bearer.status, asked: sent.length }));
