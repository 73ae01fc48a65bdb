# ruff: noqa: E501 -- one case, one line: tables are read across
"""Mistakes in the route file, each with the whole of what its author is told."""

from __future__ import annotations

import pytest

from gateway.errors import Misconfigured
from gateway.redaction import compile_routes
from gateway.redaction.pointers import read_pointer, write_pointer
from gateway.redaction.routes import read_routes
from tests.redaction.oracle import SLUGS

GOOD = """\
[[route]]
name   = "dossier"
match  = "GET /dossiers/{numero}"
action = "consult"
answer = "json"
query  = ["page"]
[route.parts]
"/numero" = "always"
"/rubriques/{rubric}" = "{rubric}"
"/rubriques/famille/personnes/*/nir" = "never"
[route.fields]
"/rubriques/famille" = ["situation", "personnes"]
"/rubriques/famille/personnes/*" = ["nom"]

[[route]]
name    = "rubric"
match   = "GET /dossiers/{numero}/rubriques/{rubric}"
action  = "consult"
answer  = "json"
part_of = "dossier"
at      = "/rubriques/{rubric}"

[[route]]
name          = "courrier"
match         = "GET /dossiers/{numero}/courriers/{id}.pdf"
action        = "consult"
answer        = "document"
rubric        = "courrier"
content_types = ["application/pdf"]
"""

MISTAKES = [
    (
        "two parts that say which dossier it is",
        '"/numero" = "always"',
        '"/numero" = "number"\n"/id" = "number"',
        [
            'routes.toml:9: "/id" is a second "number": "/numero" already says which dossier this is.',
        ],
    ),
    (
        "an item of a list that says which dossier it is",
        '"/numero" = "always"',
        '"/numeros/*" = "number"',
        [
            'routes.toml:8: "/numeros/*" cannot be "number": an item of a list does not say which dossier this is.',
        ],
    ),
    (
        "an unclosed list",
        'query  = ["page"]',
        'query  = ["page"',
        [
            "routes.toml:7: from here on the file cannot be read: check quotes, brackets and commas (Unclosed array).",
        ],
    ),
    (
        "a key twice",
        'query  = ["page"]',
        'query  = ["page"]\nquery = []',
        [
            "routes.toml:7: from here on the file cannot be read: check quotes, brackets and commas (Cannot overwrite a value).",
        ],
    ),
    (
        "single brackets",
        '[[route]]\nname   = "dossier"',
        '[route]\nname   = "dossier"',
        [
            "routes.toml:15: from here on the file cannot be read: check quotes, brackets and commas (Cannot overwrite a value).",
        ],
    ),
    (
        "another section",
        '[[route]]\nname    = "rubric"',
        '[[routes]]\nname    = "rubric"',
        [
            'routes.toml:15: the file has no place for "routes": it holds [[route]] sections only. Did you mean "route"?',
        ],
    ),
    (
        "an unknown key",
        'action = "consult"',
        'acton = "consult"',
        [
            'routes.toml:1: this route has no "action".',
            'routes.toml:4: a route has no "acton". Did you mean "action"?',
        ],
    ),
    (
        "a missing key",
        'match  = "GET /dossiers/{numero}"\n',
        "",
        [
            'routes.toml:1: this route has no "match".',
        ],
    ),
    (
        "a number for a name",
        'name   = "dossier"',
        "name   = 7",
        [
            'routes.toml:2: "name" must be a text between quotes.',
            'routes.toml:20: there is no other route "dossier".',
        ],
    ),
    (
        "a name with capitals",
        'name   = "dossier"',
        'name   = "Dossier"',
        [
            'routes.toml:2: "Dossier" is not a name: small letters without accents, digits, - and _ only.',
            'routes.toml:20: there is no other route "dossier". Did you mean "Dossier"?',
        ],
    ),
    (
        "two equal names",
        'name          = "courrier"',
        'name          = "dossier"',
        [
            'routes.toml:24: two routes are named "dossier".',
        ],
    ),
    (
        "a path without method",
        '"GET /dossiers/{numero}"',
        '"/dossiers/{numero}"',
        [
            'routes.toml:3: "match" is a method and a path, such as "GET /dossiers/{numero}".',
        ],
    ),
    (
        "another method",
        '"GET /dossiers/{numero}"',
        '"POST /dossiers/{numero}"',
        [
            'routes.toml:3: "POST" cannot be routed: for now only GET is, so that nothing can be changed.',
        ],
    ),
    (
        "a small method",
        '"GET /dossiers/{numero}"',
        '"get /dossiers/{numero}"',
        [
            'routes.toml:3: "get" cannot be routed: for now only GET is, so that nothing can be changed.',
        ],
    ),
    (
        "no number",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers"',
        [
            'routes.toml:3: "GET /dossiers": the path must contain {numero} exactly once: every route is about one dossier.',
        ],
    ),
    (
        "two numbers",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers/{numero}/{numero}"',
        [
            'routes.toml:3: "GET /dossiers/{numero}/{numero}": the path must contain {numero} exactly once: every route is about one dossier.',
        ],
    ),
    (
        "an unknown noun",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers/{number}"',
        [
            'routes.toml:3: "GET /dossiers/{number}": {number} is not known; a path knows {numero}, {id} and {rubric}.',
        ],
    ),
    (
        "two nouns in one segment",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers/{numero}{id}"',
        [
            'routes.toml:3: "GET /dossiers/{numero}{id}": "{numero}{id}" has braces that do not pair, or more than one noun.',
        ],
    ),
    (
        "dots",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers/../{numero}"',
        [
            'routes.toml:3: "GET /dossiers/../{numero}": ".." cannot stand between two "/" of a path.',
        ],
    ),
    (
        "a doubled slash",
        '"GET /dossiers/{numero}"',
        '"GET //dossiers/{numero}"',
        [
            'routes.toml:3: "GET //dossiers/{numero}": "" cannot stand between two "/" of a path.',
        ],
    ),
    (
        "an accent in the path",
        '"GET /dossiers/{numero}"',
        '"GET /pièces/{numero}"',
        [
            'routes.toml:3: "GET /pièces/{numero}": "pièces" may only contain letters without accents, digits and . _ ~ - besides its noun.',
        ],
    ),
    (
        "a query in the path",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers/{numero}?a=b"',
        [
            'routes.toml:3: "GET /dossiers/{numero}?a=b": "{numero}?a=b" may only contain letters without accents, digits and . _ ~ - besides its noun.',
        ],
    ),
    (
        "the root",
        '"GET /dossiers/{numero}"',
        '"GET /"',
        [
            'routes.toml:3: "GET /": the path must start with "/" and name something after it.',
        ],
    ),
    (
        "a reserved path",
        '"GET /dossiers/{numero}"',
        '"GET /-/{numero}"',
        [
            'routes.toml:3: "GET /-/{numero}": the addresses under /- are the gateway\'s own.',
        ],
    ),
    (
        "a noun that can be reserved",
        '"GET /dossiers/{numero}"',
        '"GET /{id}/{numero}"',
        [
            'routes.toml:3: "GET /{id}/{numero}": the addresses under /- are the gateway\'s own.',
        ],
    ),
    (
        "the standard's path",
        '"GET /dossiers/{numero}"',
        '"GET /access/v1/{numero}"',
        [
            'routes.toml:3: "GET /access/v1/{numero}": the addresses under /access/v1 are the gateway\'s own.',
        ],
    ),
    (
        "two routes for one path",
        "courriers/{id}.pdf",
        "rubriques/{id}",
        [
            'routes.toml:25: a path that fits "courrier" can also fit "rubric".',
        ],
    ),
    (
        "an unknown action",
        'action = "consult"',
        'action = "consulter"',
        [
            'routes.toml:4: action cannot be "consulter"; it is one of "consult", "message". Did you mean "consult"?',
        ],
    ),
    (
        "an unknown answer",
        'answer = "json"',
        'answer = "jsno"',
        [
            'routes.toml:5: answer cannot be "jsno"; it is one of "json", "document". Did you mean "json"?',
            'routes.toml:20: "dossier" has no [route.parts] of its own to take a part of.',
        ],
    ),
    (
        "a parameter that is none",
        '["page"]',
        '["page="]',
        [
            'routes.toml:6: "page=" under "query" is not the name of a query parameter.',
        ],
    ),
    (
        "a parameter twice",
        '["page"]',
        '["page", "page"]',
        [
            'routes.toml:6: "query" says the same thing twice.',
        ],
    ),
    (
        "a misspelt rubric",
        '"{rubric}"\n"/rubriques/famille',
        '"{rubric}"\n"/rubriques/droits" = "driots"\n"/rubriques/famille',
        [
            'routes.toml:10: "/rubriques/droits" cannot be "driots": the policies have no such rubric. Did you mean "droits"?',
        ],
    ),
    (
        "a capital label",
        '"/numero" = "always"',
        '"/numero" = "Always"',
        [
            'routes.toml:8: "/numero" cannot be "Always": the policies have no such rubric. Did you mean "always"?',
        ],
    ),
    (
        "a pointer without slash",
        '"/numero" = "always"',
        '"numero" = "always"',
        [
            'routes.toml:8: the pointer "numero" must start with "/", as in "/rubriques/famille".',
        ],
    ),
    (
        "a pointer without quotes",
        '"/numero" = "always"',
        'rubriques.numero = "always"',
        [
            'routes.toml:8: the pointer "rubriques" must start with "/", as in "/rubriques/famille".',
        ],
    ),
    (
        "a pointer that ends with a slash",
        '"/numero" = "always"',
        '"/numero/" = "always"',
        [
            'routes.toml:8: the pointer "/numero/" has nothing between two "/", or ends with "/".',
        ],
    ),
    (
        "a wrong escape",
        '"/numero" = "always"',
        '"/nu~mero" = "always"',
        [
            'routes.toml:8: the pointer "/nu~mero" has a "~" that is neither "~0" (for "~") nor "~1" (for "/").',
        ],
    ),
    (
        "a star beside letters",
        '"/numero" = "always"',
        '"/num*" = "always"',
        [
            'routes.toml:8: the pointer "/num*" has a "*" beside other characters; "*" stands alone, for any item of a list.',
        ],
    ),
    (
        "an unknown word in braces",
        '"/numero" = "always"',
        '"/{numero}" = "always"',
        [
            'routes.toml:8: the pointer "/{numero}" has braces; the only word in braces a pointer knows is "{rubric}".',
        ],
    ),
    (
        "a quotation mark",
        '"/numero" = "always"',
        '\'/nu"mero\' = "always"',
        [
            'routes.toml:8: the pointer "/nu"mero" has a quotation mark, a backslash or a control character, which no part may have.',
        ],
    ),
    (
        "one rubric for all",
        '"/rubriques/{rubric}" = "{rubric}"',
        '"/rubriques/{rubric}" = "famille"',
        [
            'routes.toml:9: "/rubriques/{rubric}" is "famille": a pointer with {rubric} is labelled "{rubric}", and no other is.',
        ],
    ),
    (
        "the label without the pointer",
        '"/numero" = "always"',
        '"/numero" = "{rubric}"',
        [
            'routes.toml:8: "/numero" is "{rubric}": a pointer with {rubric} is labelled "{rubric}", and no other is.',
        ],
    ),
    (
        "a list and an object",
        '"/numero" = "always"',
        '"/numero" = "always"\n"/lignes/*" = "rsa"\n"/lignes/total" = "rsa"',
        [
            'routes.toml:9: "/lignes" is used both as a list (with "*") and as an object (with named fields).',
        ],
    ),
    (
        "an open part with a withheld field",
        '"/rubriques/famille/personnes/*" = ["nom"]\n',
        "",
        [
            'routes.toml:10: "/rubriques/famille/personnes/*/nir" lies inside "/rubriques/famille/personnes/*", so "/rubriques/famille/personnes/*" must say which of its fields may leave. Add under [route.fields] the line "/rubriques/famille/personnes/*" = [] and complete it with the other fields.',
        ],
    ),
    (
        "an open part around it",
        '"/rubriques/famille" = ["situation", "personnes"]\n',
        "",
        [
            'routes.toml:10: "/rubriques/famille/personnes/*/nir" lies inside "/rubriques/famille", so "/rubriques/famille" must say which of its fields may leave. Add under [route.fields] the line "/rubriques/famille" = ["personnes"] and complete it with the other fields.',
        ],
    ),
    (
        "a list of fields without the one used",
        '["situation", "personnes"]',
        '["situation", "personne"]',
        [
            'routes.toml:10: "/rubriques/famille/personnes/*/nir" lies inside "/rubriques/famille/personnes", which "/rubriques/famille" does not list under [route.fields]. Add "personnes" to that list, or give "/rubriques/famille/personnes" a label. Did you mean "personne"?',
        ],
    ),
    (
        "a misspelt place of never",
        '"/rubriques/famille/personnes/*/nir"',
        '"/rubriques/fammille/personnes/*/nir"',
        [
            'routes.toml:10: "/rubriques/fammille/personnes/*/nir" has no effect: nothing in "/rubriques/fammille/personnes/*" belongs to a rubric. Did you mean "/rubriques/famille/personnes/*"?',
        ],
    ),
    (
        "fields of a misspelt place",
        '"/rubriques/famille" = [',
        '"/rubriques/famile" = ["a"]\n"/rubriques/famille" = [',
        [
            'routes.toml:12: "/rubriques/famile" lists fields but belongs to no rubric; give it one under [route.parts]. Did you mean "/rubriques/famille"?',
        ],
    ),
    (
        "fields that are a text",
        '["nom"]',
        '"nom"',
        [
            'routes.toml:13: "/rubriques/famille/personnes/*" must list names, such as ["nom", "date"].',
        ],
    ),
    (
        "a star for all fields",
        '["nom"]',
        '["*"]',
        [
            'routes.toml:13: the fields of "/rubriques/famille/personnes/*" must be plain names: no "*", no "/", no quotation mark, none empty.',
        ],
    ),
    (
        "a field twice",
        '["nom"]',
        '["nom", "nom"]',
        [
            'routes.toml:13: the fields of "/rubriques/famille/personnes/*" name the same one twice.',
        ],
    ),
    (
        "no parts",
        '[route.parts]\n"/numero" = "always"\n"/rubriques/{rubric}" = "{rubric}"\n"/rubriques/famille/personnes/*/nir" = "never"\n[route.fields]\n"/rubriques/famille" = ["situation", "personnes"]\n"/rubriques/famille/personnes/*" = ["nom"]\n',
        "",
        [
            "routes.toml:1: this route has no [route.parts]: nothing of its answer could ever leave.",
        ],
    ),
    (
        "part_of without at",
        'at      = "/rubriques/{rubric}"\n',
        "",
        [
            'routes.toml:20: "part_of" goes together with "at", which is missing.',
        ],
    ),
    (
        "part_of an unknown route",
        'part_of = "dossier"',
        'part_of = "dosier"',
        [
            'routes.toml:20: there is no other route "dosier". Did you mean "dossier"?',
        ],
    ),
    (
        "part_of a document",
        'part_of = "dossier"',
        'part_of = "courrier"',
        [
            'routes.toml:20: "courrier" has no [route.parts] of its own to take a part of.',
        ],
    ),
    (
        "a place that nothing names",
        'at      = "/rubriques/{rubric}"',
        'at      = "/rubrique/{rubric}"',
        [
            'routes.toml:21: nothing at "/rubrique/{rubric}" of "dossier" belongs to a rubric.',
        ],
    ),
    (
        "a place without its rubric",
        'at      = "/rubriques/{rubric}"',
        'at      = "/rubriques/famille"',
        [
            'routes.toml:21: "match" and "at" must both contain {rubric}, or neither.',
        ],
    ),
    (
        "a place with its rubric for a path without",
        '"GET /dossiers/{numero}/rubriques/{rubric}"',
        '"GET /dossiers/{numero}/famille"',
        [
            'routes.toml:21: "match" and "at" must both contain {rubric}, or neither.',
        ],
    ),
    (
        "a place that is no pointer",
        'at      = "/rubriques/{rubric}"',
        'at      = "rubriques/{rubric}"',
        [
            'routes.toml:21: the pointer "rubriques/{rubric}" must start with "/", as in "/rubriques/famille".',
        ],
    ),
    (
        "a place inside a list",
        'at      = "/rubriques/{rubric}"',
        'at      = "/rubriques/famille/personnes/*"',
        [
            'routes.toml:21: "/rubriques/famille/personnes/*" cannot contain "*": an item of a list has no address of its own.',
            'routes.toml:21: nothing at "/rubriques/famille/personnes/*" of "dossier" belongs to a rubric.',
        ],
    ),
    (
        "items of which none may leave",
        '"/numero" = "always"',
        '"/avis/*" = "never"',
        [
            'routes.toml:8: "/avis/*" has no effect: nothing in "/avis" belongs to a rubric.',
        ],
    ),
    (
        "a label without quotes",
        '"/numero" = "always"',
        '"/numero" = 1',
        [
            'routes.toml:8: "/numero" must have one rubric between quotes; write the pointer between quotes too.',
        ],
    ),
    (
        "the same words in a comment before",
        'action = "consult"',
        '# "action" # as before\naction = "read"',
        [
            'routes.toml:5: action cannot be "read"; it is one of "consult", "message".',
        ],
    ),
    (
        "a missing key and an empty text",
        'action = "consult"\nanswer = "json"\nquery  = ["page"]',
        'answer = "json"\nquery  = [""]',
        [
            'routes.toml:1: "" under "query" is not the name of a query parameter.',
            'routes.toml:1: this route has no "action".',
        ],
    ),
    (
        "a document with a rubric in its path",
        "courriers/{id}.pdf",
        "courriers/{rubric}.pdf",
        [
            "routes.toml:25: the path of a document cannot contain {rubric}: its rubric is fixed.",
        ],
    ),
    (
        "parts beside part_of",
        'part_of = "dossier"',
        'part_of = "dossier"\nparts = {}',
        [
            'routes.toml:21: a route with "part_of" has no [route.parts]: the rules of the other route apply.',
        ],
    ),
    (
        "a document with parts",
        'rubric        = "courrier"',
        'rubric        = "courrier"\nparts = {}',
        [
            'routes.toml:29: "parts" is for JSON: a document leaves whole or not at all.',
        ],
    ),
    (
        "a document without rubric",
        'rubric        = "courrier"\n',
        "",
        [
            'routes.toml:23: a document must say which "rubric" it belongs to.',
        ],
    ),
    (
        "a document for everybody",
        'rubric        = "courrier"',
        'rubric        = "always"',
        [
            'routes.toml:28: a document cannot belong to "always": whoever may not open it must be refused, and whoever may must be named by a rubric.',
        ],
    ),
    (
        "a document without types",
        'content_types = ["application/pdf"]\n',
        "",
        [
            'routes.toml:23: a document must declare its "content_types", such as ["application/pdf"].',
        ],
    ),
    (
        "a type with a parameter",
        '["application/pdf"]',
        '["application/pdf; a=b"]',
        [
            'routes.toml:29: "application/pdf; a=b" under "content_types" is not a type such as "application/pdf".',
        ],
    ),
    (
        "a rubric for JSON",
        'query  = ["page"]',
        'rubric = "rsa"',
        [
            'routes.toml:6: "rubric" is for documents; the parts of JSON get their rubrics under [route.parts].',
        ],
    ),
    (
        "HTML for JSON",
        'query  = ["page"]',
        'content_types = ["text/html"]',
        [
            'routes.toml:6: "text/html" is not a type of JSON.',
        ],
    ),
    (
        "a space in a path",
        '"GET /dossiers/{numero}"',
        '"GET /dossiers/{numero} x"',
        [
            'routes.toml:3: "GET /dossiers/{numero} x": "{numero} x" may only contain letters without accents, digits and . _ ~ - besides its noun.',
        ],
    ),
    (
        "a noun twice",
        "courriers/{id}.pdf",
        "{id}/{id}.pdf",
        [
            'routes.toml:25: "GET /dossiers/{numero}/{id}/{id}.pdf": the path contains {id} more than once.',
        ],
    ),
    (
        "a dot between slashes",
        '"GET /dossiers/{numero}"',
        '"GET /./{numero}"',
        [
            'routes.toml:3: "GET /./{numero}": "." cannot stand between two "/" of a path.',
        ],
    ),
    (
        "a text for a list",
        'query  = ["page"]',
        'query  = "page"',
        [
            'routes.toml:6: "query" must be a list of texts, such as ["one", "two"].',
        ],
    ),
    (
        "a number in a list",
        'query  = ["page"]',
        'query  = ["page", 7]',
        [
            'routes.toml:6: "query" must be a list of texts, such as ["one", "two"].',
        ],
    ),
    (
        "a number among fields",
        '["nom"]',
        '["nom", 7]',
        [
            'routes.toml:13: "/rubriques/famille/personnes/*" must list names, such as ["nom", "date"].',
        ],
    ),
    (
        "a pointer among fields",
        '["nom"]',
        '["nom/usage"]',
        [
            'routes.toml:13: the fields of "/rubriques/famille/personnes/*" must be plain names: no "*", no "/", no quotation mark, none empty.',
        ],
    ),
    (
        "at without part_of",
        'part_of = "dossier"\n',
        "",
        [
            'routes.toml:20: "at" goes together with "part_of", which is missing.',
        ],
    ),
    (
        "a path with {rubric} and neither part_of nor at",
        'part_of = "dossier"\nat      = "/rubriques/{rubric}"\n',
        "parts = {}\n",
        [
            'routes.toml:17: a path with {rubric} answers a part of another route: add "part_of" and "at".',
            "routes.toml:20: this route has no [route.parts]: nothing of its answer could ever leave.",
        ],
    ),
    (
        "an answer that nobody could open",
        '"/rubriques/{rubric}" = "{rubric}"\n"/rubriques/famille/personnes/*/nir" = "never"\n[route.fields]\n"/rubriques/famille" = ["situation", "personnes"]\n"/rubriques/famille/personnes/*" = ["nom"]\n',
        "",
        [
            "routes.toml:7: no part of this answer belongs to a rubric, so nobody could ever open it.",
            'routes.toml:16: nothing at "/rubriques/{rubric}" of "dossier" belongs to a rubric.',
        ],
    ),
    (
        "a brace that opens in a pointer",
        '"/numero" = "always"',
        '"/num{ero" = "always"',
        [
            'routes.toml:8: the pointer "/num{ero" has braces; the only word in braces a pointer knows is "{rubric}".',
        ],
    ),
    (
        "a brace that closes in a pointer",
        '"/numero" = "always"',
        '"/num}ero" = "always"',
        [
            'routes.toml:8: the pointer "/num}ero" has braces; the only word in braces a pointer knows is "{rubric}".',
        ],
    ),
    (
        "{rubric} twice in a pointer",
        '"/numero" = "always"',
        '"/{rubric}/{rubric}" = "{rubric}"',
        [
            'routes.toml:8: the pointer "/{rubric}/{rubric}" names "{rubric}" more than once.',
        ],
    ),
    (
        "fields beside part_of",
        'part_of = "dossier"',
        'part_of = "dossier"\nfields = {}',
        [
            'routes.toml:21: a route with "part_of" has no [route.fields]: the rules of the other route apply.',
        ],
    ),
    (
        "an open part with a field that says the same and one that does not",
        '"/numero" = "always"',
        '"/a" = "rsa"\n"/a/b" = "rsa"\n"/a/c" = "famille"',
        [
            'routes.toml:9: "/a/b" lies inside "/a", so "/a" must say which of its fields may leave. Add under [route.fields] the line "/a" = ["b"] and complete it with the other fields.',
        ],
    ),
    (
        "a misspelt rubric for a document",
        'rubric        = "courrier"',
        'rubric        = "courier"',
        [
            'routes.toml:28: a document cannot belong to "courier": the policies have no such rubric. Did you mean "courrier"?',
        ],
    ),
    (
        "a text for a section",
        'part_of = "dossier"',
        'part_of = "dossier"\nfields = "nom"',
        [
            'routes.toml:21: "fields" must be a section, written [route.fields].',
        ],
    ),
]


@pytest.mark.parametrize(("mistake", "good", "bad", "told"), MISTAKES, ids=[mistake for mistake, *_ in MISTAKES])
def test_a_mistake_is_told_with_its_line(mistake, good, bad, told):
    assert good in GOOD
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(GOOD.replace(good, bad, 1), SLUGS)
    assert list(refusal.value.problems) == told


@pytest.mark.parametrize("line", ['part_of = "dossier"', 'at = "/rubriques/famille"', "parts = {}", "fields = {}"])
def test_a_document_has_no_parts_and_is_no_part(line):
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(GOOD.replace('rubric        = "courrier"', f'rubric        = "courrier"\n{line}'), SLUGS)
    key = line.split()[0]
    assert refusal.value.problems[0] == f'routes.toml:29: "{key}" is for JSON: a document leaves whole or not at all.'


def test_the_file_without_mistakes_is_accepted():
    routes = compile_routes(GOOD, SLUGS).routes
    assert [route.name for route in routes] == ["dossier", "rubric", "courrier"]
    assert {(route.method, route.action) for route in routes} == {("GET", "consult")}
    assert [(route.answer, route.rubric) for route in routes] == [("json", ""), ("json", ""), ("document", "courrier")]
    assert [route.query for route in routes] == [("page",), (), ()]
    assert [route.content_types for route in routes] == [("application/json",)] * 2 + [("application/pdf",)]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = GOOD.replace('"consult"', '"read"').replace('"always"', '"allways"').replace("{id}.pdf", "{ref}.pdf")
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(text, SLUGS, file="draft.toml")
    assert [problem.split(":")[:2] for problem in refusal.value.problems] == [
        ["draft.toml", line] for line in ("4", "8", "18", "25", "26")
    ]


def test_the_same_words_in_two_routes_are_told_apart_by_their_line():
    second = GOOD[: GOOD.index("\n[[route]]")].replace("dossiers", "fiches").replace("dossier", "fiche")
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(GOOD + "\n" + second.replace('"always"', '"toujours"'), SLUGS)
    assert refusal.value.problems == (
        'routes.toml:38: "/numero" cannot be "toujours": the policies have no such rubric.',
    )


OVER_THE_BOUNDS = {
    "lists a thousand deep": ("[" * 1_000, "routes.toml:3: brackets, braces or dotted keys nest deeper than 8."),
    "lists deep over many lines": ("[\n" * 100_000, "routes.toml:100002: "),
    "lists nine deep": ("[" * 9 + "]" * 9, "routes.toml:3: brackets, braces or dotted keys nest deeper than 8."),
    "lists nine deep, then again": ("[1]\ny = " + "[" * 9 + "]" * 9 + "\nz = " + "[" * 9 + "]" * 9, "routes.toml:4: "),
    "lists nine deep before a long line": ("[" * 9 + "]" * 9 + "\nz = [" + "1, " * 90 + "]", "routes.toml:3: "),
    "a key with ten dots, without a bracket": ("1\n" + "a." * 10 + "b = 1", "routes.toml:1: "),
    "lists that are just not too deep": ("[" * 7 + "]" * 7, 'routes.toml:3: the file has no place for "x"'),
    "a table in a table in a table": ("{a = " * 300 + "1" + "}" * 300, "routes.toml:3: brackets, braces or dotted"),
    "a key with a thousand dots": ("1\n" + "a." * 990 + "b = 1", "routes.toml:"),
    "a number of 5 000 digits": ("9" * 5_000, "routes.toml:3: this line has more than 2000 characters"),
    "a key with 100 000 dots": ("1\n" + "a." * 100_000 + "b = 1", "routes.toml:4: this line has more than 2000"),
    "20 000 routes": ("1\n" + "[[route]]\n" * 20_000, "routes.toml:204: there are more than 200 routes."),
}


@pytest.mark.parametrize(("value", "told"), OVER_THE_BOUNDS.values(), ids=OVER_THE_BOUNDS)
def test_a_file_that_would_choke_its_parser_is_refused_with_a_sentence(value, told):
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(f"# a comment\n\nx = {value}\n", SLUGS)
    assert refusal.value.problems[-1].startswith(told)
    assert all(len(problem) < 600 for problem in refusal.value.problems)


def test_a_pointer_deeper_than_a_document_may_be_is_refused():
    deep = GOOD.replace('"/numero"', f'"{"/a" * 33}"', 1)
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(deep, SLUGS)
    assert refusal.value.problems[0].endswith(f'"{"/a" * 33}" has more than 32 steps.')


def test_a_file_that_ends_in_the_middle_is_told_with_its_last_line():
    with pytest.raises(Misconfigured) as refusal:
        compile_routes("# a comment\n\nx = ", SLUGS)
    (problem,) = refusal.value.problems
    assert problem.startswith("routes.toml:3: from here on the file cannot be read")
    assert "end of document" not in problem


def test_a_line_as_long_as_a_line_may_be_is_accepted():
    assert compile_routes(GOOD + "#" * 2_000, SLUGS)


def test_a_pointer_as_deep_as_a_document_may_be_is_accepted():
    assert compile_routes(GOOD.replace('"/numero"', f'"{"/a" * 32}"', 1), SLUGS)


def test_routes_without_a_name_are_not_taken_for_each_other():
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(GOOD.replace('name    = "rubric"', "").replace('name          = "courrier"', ""), SLUGS)
    assert refusal.value.problems == (
        'routes.toml:15: this route has no "name".',
        'routes.toml:23: this route has no "name".',
    )


def test_many_mistakes_are_told_up_to_a_bound():
    with pytest.raises(Misconfigured) as refusal:
        compile_routes("[[route]]\n" * 200, SLUGS)
    assert len(refusal.value.problems) == 200


@pytest.mark.parametrize("text", ["", "# nothing\n", "route = []"])
def test_a_file_without_routes_is_refused(text):
    with pytest.raises(Misconfigured, match=r"routes\.toml:1: the file has no \[\[route\]\]"):
        compile_routes(text, SLUGS)


@pytest.mark.parametrize("text", ["route = 1", "route = [1]", 'route = "GET /"', "[route]"])
def test_routes_that_are_not_sections_are_refused(text):
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(f"# a comment\n{text}", SLUGS)
    assert refusal.value.problems == ("routes.toml:2: each route starts with [[route]], in double brackets.",)


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("{numero}/{id}", "{numero}/{id}.pdf", False),
        ("{numero}/{id}", "{numero}/rsa", True),
        ("{numero}/{id}", "{numero}/RSA", False),
        ("{numero}/{rubric}", "{numero}/{id}", True),
        ("{numero}/x-{rubric}", "{numero}/{id}-a", False),
        ("{numero}/{rubric}", "{numero}/qf_caf", True),
        ("{numero}", "{id}/{numero}", False),
        ("{numero}/a", "1234567/{numero}", False),
        ("{numero}/1234567", "1234567/{numero}", True),
        ("a{numero}", "{numero}a", False),
        ("n-{numero}/{id}", "n-{numero}/1-{id}", True),
        ("{id}.pdf/{numero}", "{numero}-aaaaaaaaaaaaaaaaaaaaaa.pdf/{id}", True),
        ("{id}.pdf/{numero}", "{numero}-aaaaaaaaaaaaaaaaaaaaaaaaa.pdf/{id}", False),
    ],
)
def test_two_routes_clash_exactly_where_a_path_fits_both(one, other, clash):
    def route(name, path):
        answer = 'answer = "document"\nrubric = "rsa"\ncontent_types = ["a/b"]'
        if "{rubric}" in path:
            answer = 'answer = "json"\npart_of = "whole"\nat = "/rubriques/{rubric}"'
        return f'[[route]]\nname = "{name}"\nmatch = "GET /d/{path}"\naction = "consult"\n{answer}\n'

    whole = GOOD[: GOOD.index("\n[[route]]")].replace('"dossier"', '"whole"')
    text = whole + route("one", one) + route("other", other)
    if not clash:
        assert len(compile_routes(text, SLUGS).routes) == 3
        return
    with pytest.raises(Misconfigured, match='fits "other" can also fit "one"'):
        compile_routes(text, SLUGS)


@pytest.mark.parametrize("text", ["", "/a", "/a/*/b", "/a~1b~0c/~01/~0~1", "/rubriques/{rubric}/é"])
def test_a_pointer_is_written_as_it_was_read(text):
    assert write_pointer(read_pointer(text)) == text


def test_a_pointer_may_write_a_slash_and_a_tilde_in_a_key():
    from gateway.redaction import redact

    table = compile_routes(GOOD.replace('"/numero" = "always"', '"/a~1b~0c" = "always"'), SLUGS)
    plan = table.plan(table.routes[0], {}, {"rsa"})
    assert redact(b'{"a/b~c":1,"a":2,"a/b":3}', plan, "1234567").body == b'{"a/b~c":1}'


def test_a_route_written_on_one_line_is_told_by_what_stands_there():
    text = """# All in one.
route = [
{name = "dossier", match = "GET /d/{numero}", action = "consult", answer = "json", parts = {"/rsa" = "toujours"}},
]
"""
    with pytest.raises(Misconfigured) as refusal:
        compile_routes(text, SLUGS)
    assert refusal.value.problems == ('routes.toml:3: "/rsa" cannot be "toujours": the policies have no such rubric.',)
    [doubt] = read_routes(text, SLUGS)[1]
    assert text.split("\n")[doubt.line - 1][doubt.column - 1 :].startswith('"/rsa"')


def test_a_key_on_the_first_line_is_told_with_its_line():
    with pytest.raises(Misconfigured) as refusal:
        compile_routes("routess = 1\n\nx = 'routess'\n", SLUGS)
    assert refusal.value.problems[0].startswith('routes.toml:1: the file has no place for "routess"')


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"/numero" = "always"', '"/numero" = "toujours"', (8, 1)),
        ('name   = "dossier"', '  namen = "dossier"\nname = "dossier"', (2, 3)),
        ('["nom"]', '["nom", "nom"]', (13, 1)),
        ("[[route]]\nname   =", 'routes = "x"\n[[route]]\nname   =', (1, 1)),
        ("[[route]]\nname   =", "  [[route]]\nnam    =", (1, 3)),
        ('query  = ["page"]', 'query  = ["page" "x"]', (6, 18)),
        ('query  = ["page"]', f'query  = ["{"page" * 3000}"]', (6, 1)),
        ('query  = ["page"]', f"query  = {'[' * 300}{']' * 300}", (6, 1)),
        (GOOD, GOOD + "\n  [route.parts", (GOOD.count("\n") + 2, 1)),
        (GOOD, "# nothing", (1, 1)),
        (GOOD, '  [route]\nname = "dossier"', (1, 1)),
        (GOOD, "# routes\n" + '  [[route]]\nname = "dossier"\n' * 201, (402, 1)),
    ],
)
def test_a_mistake_is_told_with_its_line_and_column(old, new, place):
    assert GOOD.count(old) >= 1
    table, doubts = read_routes(GOOD.replace(old, new, 1), SLUGS)
    assert table is None
    assert (doubts[0].line, doubts[0].column) == place, doubts
