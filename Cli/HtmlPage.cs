using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Text;

namespace Continuum.Cli;

/// <summary>One page that needs no other file: texts, tables and pictures, for screens of any width, light or dark as the reader has it.</summary>
internal sealed class HtmlPage
{
    private const string Style = """
        :root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #d0d7de; --soft: #57606a; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --soft: #9da7b3; } }
        body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem; margin: 0 auto; padding: 1rem; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
        .scroll { overflow-x: auto; } table { border-collapse: collapse; } th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
        td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } td { overflow-wrap: anywhere; }
        figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line); } figcaption { color: var(--soft); font-size: .9rem; }
        """;

    private readonly StringBuilder _body = new();
    private readonly string _title;

    internal HtmlPage(string title)
    {
        _title = title;
        _body.Append($"<h1>{Escape(title)}</h1>\n");
    }

    internal HtmlPage Heading(string text)
    {
        _body.Append($"<h2>{Escape(text)}</h2>\n");
        return this;
    }

    internal HtmlPage Paragraph(string text)
    {
        _body.Append($"<p>{Escape(text)}</p>\n");
        return this;
    }

    /// <summary>Names with their values, without those that are empty.</summary>
    internal HtmlPage Facts(IEnumerable<(string Name, string Value)> facts)
    {
        IEnumerable<string> rows = facts.Where(fact => fact.Value.Length > 0).Select(fact => $"<tr><th scope=\"row\">{Escape(fact.Name)}</th><td>{Escape(fact.Value)}</td></tr>\n");
        _body.Append($"<div class=\"scroll\"><table>\n{string.Concat(rows)}</table></div>\n");
        return this;
    }

    /// <summary>A table of numbers.</summary>
    internal HtmlPage Numbers(IReadOnlyList<string> header, IEnumerable<IReadOnlyList<string>> rows)
    {
        string head = string.Concat(header.Select(cell => $"<th class=\"number\" scope=\"col\">{Escape(cell)}</th>"));
        string body = string.Concat(rows.Select(row => $"<tr>{string.Concat(row.Select(cell => $"<td class=\"number\">{Escape(cell)}</td>"))}</tr>\n"));
        _body.Append($"<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n");
        return this;
    }

    internal HtmlPage Picture(Picture picture)
    {
        string caption = Escape(picture.Caption);
        _body.Append($"<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{Convert.ToBase64String(picture.Png)}\"><figcaption>{caption}</figcaption></figure>\n");
        return this;
    }

    internal byte[] ToBytes() =>
        Encoding.UTF8.GetBytes(
            $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{Escape(_title)}</title>
            <style>
            {Style}
            </style>
            </head>
            <body>
            {_body}</body>
            </html>

            """.ReplaceLineEndings("\n")
        );

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
