using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>What `continuum operator` tells about a learned operator: on the terminal, and on a page.</summary>
internal static class OperatorReport
{
    /// <summary>The relative errors of the test samples, a row for each resolution.</summary>
    internal static void PrintErrors(OperatorResults results)
    {
        Console.WriteLine($"relative errors of the {results.Evaluations[0].RelativeL2.Count} test samples:");
        Table table = Tables.Create();
        foreach (string name in OperatorResults.Header)
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        foreach (IReadOnlyList<string> row in results.Rows())
        {
            table.AddRow([.. row.Select(Markup.Escape)]);
        }

        AnsiConsole.Write(table);
    }

    internal static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>The page of a comparison.</summary>
    /// <param name="title">Its title.</param>
    /// <param name="model">The operator.</param>
    /// <param name="file">Where the operator came from or how it was trained, as names and values.</param>
    /// <param name="data">The samples that it was compared with.</param>
    /// <param name="results">The comparison.</param>
    /// <param name="learning">The picture of the training, if it was trained here.</param>
    /// <param name="pictures">The pictures of the comparison.</param>
    internal static byte[] Page(
        string title,
        OperatorModel model,
        IEnumerable<(string Name, string Value)> file,
        OperatorData data,
        OperatorResults results,
        Picture? learning,
        IReadOnlyList<Picture> pictures
    )
    {
        HtmlPage page = new(title);
        page.Heading("Errors of the test samples")
            .Paragraph(
                $"{results.Evaluations[0].RelativeL2.Count} samples: distance from the truth over the size of the truth, in the norms L2 and H1 (which counts first derivatives too), by quadrature over the domain."
            )
            .Numbers(OperatorResults.Header, results.Rows());
        if (pictures.Count > 0)
        {
            page.Heading("Samples and spectra");
        }
        else
        {
            page.Paragraph("There are no pictures: they were not asked for, or the points are a cloud.");
        }

        foreach (Picture picture in pictures)
        {
            page.Picture(picture);
        }

        page.Heading("Operator")
            .Facts([
                ("kind", model.Kind),
                ("parameters", Count(model.ParameterCount)),
                ("domain", model.Domain),
                ("input channels", string.Join(", ", model.InputChannels)),
                ("output channels", model.OutputChannels.ToString(CultureInfo.InvariantCulture)),
                .. file,
            ]);
        if (learning is not null)
        {
            page.Heading("Training").Picture(learning);
        }

        page.Heading("Test data")
            .Facts([
                ("samples", Count(data.Count)),
                .. data.Inputs.Select(input => ("input", Describe(input))),
                ("output", Describe(data.Output)),
                ("times", string.Join(", ", data.Times.Select(Numbers.Short))),
                ("varying", string.Join(", ", data.ParameterNames)),
                ("source", data.Source),
            ]);
        return page.ToBytes();
    }

    private static string Describe(OperatorFunction function) => $"{function.Name}: {(function.Channels > 1 ? $"{function.Channels} channels, " : "")}{function.Description}";
}
