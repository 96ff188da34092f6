// Package inspect dumps Dovecot's files as they are: whole, damaged, cut or empty. It tells everything that `doveadm dump`
// tells, and besides that what is wrong, where, and what lies behind the damage; it never gives a file up because of
// what is in it.
//
// A file is known by its name, and where that does not tell, by its content. A folder is walked and every file in it
// dumped; symbolic links are named and never followed. What is told is data: a [Dump] for each file, whose long lists are
// read while they are written, so that a storage file of many GiB needs no more memory than a small one. Files of
// which the whole has to be in memory (indexes, logs, lists) are read up to a limit, and it is said where that was met.
//
// [Text] writes dumps for people, [JSON] for programs; both write the same facts under the same names, which are
// those of Dovecot's structures. Nothing that comes from a file reaches an output unquoted.
//
// The package changes nothing and reaches no host.
package inspect
