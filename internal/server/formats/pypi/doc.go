// Package pypi serves pip, uv, Poetry and twine: the Simple Repository API and the
// upload API, below the endpoint of a repository. [Handler] is its
// [formats.Protocol].
//
//	GET  /simple/                           the index of all projects
//	GET  /simple/{project}/                 a project's files
//	GET  /simple/{project}/{version}/{file} a file; with .metadata its core metadata
//	POST /, POST /legacy/                   upload a file
//
// The simple API is PEP 503 in HTML and PEP 691 in JSON, version 1.1 (PEP 700:
// versions, sizes and upload times), with the core metadata of each file beside
// it (PEP 658 and 714), the Python that a file requires, and yanked releases (PEP
// 592). Names are normalised; other spellings are redirected. Links are relative,
// so a page is right under every address of the endpoint.
//
// The upload API is PyPI's ("Legacy" in its documentation): one multipart form for
// each file. The file's name and its own metadata must agree with the form (PEP 427
// for wheels, PEP 625 for source distributions).
//
// read.go and simple.go answer pages and files; upload.go receives a form,
// filename.go checks names, and coremetadata.go reads the metadata in an archive,
// within bounds.
package pypi
