using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Options whose values are checked where they are read, with messages that name the option.</summary>
internal static class Arguments
{
    internal static Option<int?> Integer(string name, string help, int least = 1, int most = int.MaxValue) =>
        new(name)
        {
            Description = help,
            HelpName = "n",
            CustomParser = result => Read<int?>(result, text => TryInteger(text, least, out int n) && n <= most ? n : null, most == int.MaxValue ? $"a whole number of at least {least}" : $"a whole number from {least} to {most}"),
        };

    internal static Option<double?> Number(string name, string help, string helpName, bool positive) =>
        new(name)
        {
            Description = help,
            HelpName = helpName,
            CustomParser = result =>
                Read<double?>(
                    result,
                    text => TryNumber(text, out double x) && !(positive && x <= 0) ? x : null,
                    positive ? "a number above 0" : "a number with a decimal point"
                ),
        };

    internal static Option<string[]?> Names(string name, string help) =>
        new(name)
        {
            Description = help,
            HelpName = "a,b",
            CustomParser = result =>
                Read(result, text => List(text) is { } list && Array.TrueForAll(list, item => item.Length > 0) ? list : null, "names separated by commas"),
        };

    /// <summary>One of several names.</summary>
    internal static Option<string?> Choice(string name, string help, IEnumerable<string> names) =>
        new(name)
        {
            Description = help,
            HelpName = "name",
            CustomParser = result => Read(result, text => names.Contains(text) ? text : null, string.Join(" or ", names)),
        };

    internal static Option<int[]?> Integers(string name, string help) =>
        new(name)
        {
            Description = help,
            HelpName = "n,n",
            CustomParser = result =>
                Read(
                    result,
                    text => Array.TrueForAll(List(text), item => TryInteger(item, 1, out _))
                        ? [.. List(text).Select(item => int.Parse(item, CultureInfo.InvariantCulture))]
                        : (int[]?)null,
                    "whole numbers of at least 1 separated by commas, such as 16,16"
                ),
        };

    /// <summary>A share from 0% on and below 100%, as a number.</summary>
    internal static Option<double?> Share(string name, string help) =>
        new(name)
        {
            Description = help,
            HelpName = "share%",
            CustomParser = result =>
                Read<double?>(
                    result,
                    text => text.EndsWith('%') && TryNumber(text[..^1], out double percent) && percent is >= 0 and < 100 ? percent / 100 : null,
                    "a share from 0% on and below 100%, such as 10%"
                ),
        };

    /// <summary>A text that must not be empty, such as a file's name.</summary>
    internal static Option<string?> Text(string name, string help, string helpName) =>
        new(name)
        {
            Description = help,
            HelpName = helpName,
            CustomParser = result => Read(result, text => string.IsNullOrWhiteSpace(text) ? null : text, "a text that is not empty"),
        };

    internal static bool TryNumber(string text, out double number) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out number) && double.IsFinite(number);

    /// <summary>The list that an option was given; null where it was not given, for which the parser has an empty one.</summary>
    internal static T[]? Given<T>(ParseResult parsed, Option<T[]?> option) => parsed.GetValue(option) is { Length: > 0 } given ? given : null;

    /// <summary>The value of an option's only argument, or an error that says what the option wants.</summary>
    internal static T? Read<T>(ArgumentResult result, Func<string, T?> read, string wanted)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        T? value = read(text);
        if (value is null)
        {
            string option = (result.Parent as OptionResult)?.IdentifierToken?.Value ?? result.Argument.Name;
            result.AddError($"{option} wants {wanted}, not '{text}'");
        }

        return value;
    }

    /// <summary>Threads of libtorch.</summary>
    internal static Option<int?> Threads(string usual) => Integer("--threads", $"Threads of the computation, at most 1024 [default: {usual}]", most: 1024);

    /// <summary>Names separated by commas; none where the option was not given.</summary>
    internal static string[] Names(string? list) => list?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];

    private static string[] List(string text) => text.Split(',', StringSplitOptions.TrimEntries);

    private static bool TryInteger(string text, int least, out int number) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number) && number >= least;
}
