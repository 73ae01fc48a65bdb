// The job as a user of nginx with njs would write it: a subrequest fetches, JSON is parsed, what is granted is written.
//
// RULES is replaced, when the file is put in place, by {"tokens": {token: profile}, "matrix": {profile: [rubric]}}.
const rules = RULES;

function answer(r) {
    const header = r.headersIn.Authorization;
    const profile = header && header.startsWith('Bearer ') ? rules.tokens[header.slice(7)] : undefined;
    if (profile === undefined) {
        r.return(401);
        return;
    }
    r.subrequest('/backend' + r.uri, { method: 'GET' }, (fetched) => {
        if (fetched.status !== 200) {
            r.return(502);
            return;
        }
        const document = JSON.parse(fetched.responseText);
        const kept = {};
        rules.matrix[profile].forEach((rubric) => {
            kept[rubric] = document.rubriques[rubric];
        });
        r.headersOut['Content-Type'] = 'application/json';
        r.return(200, JSON.stringify({ numero: document.numero, caisse: document.caisse, rubriques: kept }));
    });
}

export default { answer };
