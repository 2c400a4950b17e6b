// Package pypi is the door for pip, uv, Poetry and twine: the Simple Repository
// API and the upload API, below a repository's endpoint.
//
//	GET  /simple/                           the index of all projects
//	GET  /simple/{project}/                 a project's files
//	GET  /simple/{project}/{version}/{file} a file; with .metadata its core metadata
//	POST /, POST /legacy/                   upload a file
//
// The simple API is PEP 503 in HTML and PEP 691 in JSON, version 1.1 (PEP 700:
// versions, sizes and upload times), with the core metadata of each file beside
// it (PEP 658 and 714), the Python that it requires, and yanked releases (PEP
// 592). Names are normalised and other spellings redirected. Links are relative,
// so that a page is right under every address of the endpoint.
//
// The upload API is the one of PyPI ("Legacy" in its documentation): one
// multipart form for each file. What a file is called and what its own metadata
// say must agree with the form (PEP 427 for wheels, PEP 625 for source
// distributions).
package pypi
