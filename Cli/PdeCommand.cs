using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum pde`: data for learning the operators of partial differential equations.</summary>
internal static class PdeCommand
{
    private static readonly string s_epilogue = $"""
        Equations, and the options beside --n, --grid, --out, --seed, --first, --float32 and --quiet that each understands:
        {string.Join("\n", PdeKind.All.Select(kind => $"  {kind.Name,-15}{kind.About}\n                 {string.Join(" ", kind.Understands)}"))}

        Rules:
          A sample depends on the seed and on its number alone: --first 1000 goes on where 1000 samples ended.
          Darcy flow is solved on 421 points where --grid is 85, 61, 43 or 29 of them, as published data are, else on the grid itself.
          The file is written when all is done, whole or not at all; an old one is replaced.

        Examples:
          continuum pde generate darcy --n 1000 --grid 85 --out darcy.h5
          continuum pde generate burgers --n 100 --grid 1024 --times 0.5,1 --out burgers.h5
          continuum pde generate navier-stokes --n 10 --viscosity 1e-3 --times 11,12,13,14,15 --out flow.npz --float32
          continuum pde generate wave --dimension 2 --boundary dirichlet --grid 65 --out wave.h5
          continuum pde generate random-field --n 100 --grid 128 --smoothness 1.5 --correlation 0.1 --out fields.npz
          continuum pde info darcy.h5
          continuum pde convert burgers_data_R10.mat --input a --output u --dimension 1 --boundary periodic --out burgers.h5

        pde convert reads .h5, .hdf5, .mat (version 7.3), .npz and .npy files of others: arrays have samples first, then channels or times where there are several, then
        points at equal distances. Without --input and --output the file is one of operator data, written anew, or has the layout of PDEBench.

        Exit codes: 0 done, 1 the solution broke off or a file cannot be written or read, 2 wrong command line, 130 ended by Ctrl+C.
        """;

    private static readonly Argument<string> s_kind = new("equation") { Description = string.Join(", ", PdeKind.All.Select(kind => kind.Name)) };
    private static readonly Argument<string> s_file = new("file") { Description = "A file of operator data, or another .h5, .mat, .npz or .npy file" };
    private static readonly Option<int?> s_samples = Arguments.Integer("--n", "Samples [default: 1000]");
    private static readonly Option<int?> s_grid = Arguments.Integer("--grid", "Points on each axis [default: the equation's]", least: 3);
    private static readonly Option<int?> s_fineGrid = Arguments.Integer("--fine-grid", "Points on which the equation is solved", least: 3);
    private static readonly Option<int?> s_seed = Arguments.Integer("--seed", "Seed [default: 0]", least: 0);
    private static readonly Option<int?> s_first = Arguments.Integer("--first", "Number of the first sample [default: 0]", least: 0);
    private static readonly Option<string?> s_out = Arguments.Text("--out", "The file to write: .h5, .hdf5 or .npz (random-field: .npz or .npy)", "file");
    private static readonly Option<string?> s_inputs = Arguments.Text("--input", "The arrays that are input functions, separated by commas", "names");
    private static readonly Option<string?> s_output = Arguments.Text("--output", "The array that is the output function", "name");
    private static readonly Option<string?> s_parameters = Arguments.Text("--parameters", "Arrays of one number for each sample", "names");
    private static readonly Option<string?> s_mask = Arguments.Text("--mask", "The array that is 1 where the domain is and 0 elsewhere", "name");
    private static readonly Option<int?> s_dimension = Arguments.Integer("--dimension", "Number of axes, 1 to 3 [default: the equation's; for convert 2]", most: 3);
    private static readonly Option<double?> s_length = Arguments.Number("--length", "Length of each axis", "x", positive: true);
    private static readonly Option<double?> s_alpha = Arguments.Number("--alpha", "Exponent of the random function's covariance", "x", positive: true);
    private static readonly Option<double?> s_tau = Arguments.Number("--tau", "Its inverse length", "x", positive: true);
    private static readonly Option<double?> s_sigma = Arguments.Number("--sigma", "The factor of its standard deviation", "x", positive: true);
    private static readonly Option<double?> s_smoothness = Arguments.Number("--smoothness", "Smoothness of a Matern field, 0.5 for the exponential covariance", "x", positive: true);
    private static readonly Option<double?> s_correlation = Arguments.Number("--correlation", "Correlation length of a Matern field of variance 1", "x", positive: true);
    private static readonly Option<double?> s_viscosity = Arguments.Number("--viscosity", "Viscosity or diffusivity", "x", positive: true);
    private static readonly Option<double?> s_speed = Arguments.Number("--speed", "Speed of waves or transport", "x", positive: true);
    private static readonly Option<double[]?> s_times = Numbers("--times", "Times of the output, rising");
    private static readonly Option<double[]?> s_inputTimes = Numbers("--input-times", "Times of the input's frames, from 0 on, rising");
    private static readonly Option<double?> s_step = Arguments.Number("--step", "Longest time step", "time", positive: true);
    private static readonly Option<double?> s_spinUp = Arguments.Number("--spin-up", "Time that the flow runs before time 0", "time", positive: true);
    private static readonly Option<double?> s_high = Arguments.Number("--high", "Darcy's coefficient where the field is positive", "x", positive: true);
    private static readonly Option<double?> s_low = Arguments.Number("--low", "Darcy's coefficient elsewhere", "x", positive: true);
    private static readonly Option<bool> s_lognormal = new("--lognormal") { Description = "Darcy's coefficient is the exponential of the field" };
    private static readonly Option<bool> s_literature = new("--literature") { Description = "Darcy's published scheme instead of harmonic means" };
    private static readonly Option<bool> s_cellMeans = new("--cell-means") { Description = "Darcy's coefficient at the kept points as means over the cells around them" };
    private static readonly Option<BoundaryCondition?> s_boundary = Choice<BoundaryCondition>("--boundary", "What holds at the ends of each axis");
    private static readonly Option<VorticityForcing?> s_forcing = Choice<VorticityForcing>("--forcing", "What drives the vorticity");
    private static readonly Option<bool> s_float32 = new("--float32") { Description = "Keep values with 32 bits" };
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    private static readonly Option[] s_special =
    [
        s_fineGrid, s_dimension, s_boundary, s_length, s_alpha, s_tau, s_sigma, s_viscosity, s_speed, s_times, s_inputTimes, s_step, s_spinUp, s_forcing,
        s_high, s_low, s_lognormal, s_literature, s_cellMeans, s_smoothness, s_correlation,
    ];

    internal static Command Create()
    {
        Command generate = new("generate", "Makes samples of an operator and writes them to a file.") { s_kind, s_samples, s_grid, s_out, s_seed, s_first };
        foreach (Option option in s_special)
        {
            generate.Options.Add(option);
        }

        generate.Options.Add(s_float32);
        generate.Options.Add(s_quiet);
        generate.SetAction(parsed => PdeGenerateRun.Run(Read(parsed)));
        Help.Extend(generate, s_epilogue);
        Command info = new("info", "Says what a file of data holds.") { s_file };
        info.SetAction(parsed => PdeInfo.Print(parsed.GetValue(s_file)!));
        Help.Extend(info, s_epilogue);
        Command convert = new("convert", "Makes operator data of the arrays of another file.") { s_file, s_out, s_inputs, s_output, s_parameters, s_mask, s_dimension, s_length, s_boundary, s_quiet };
        convert.SetAction(parsed =>
            PdeConvertRun.Run(
                new()
                {
                    File = parsed.GetValue(s_file)!,
                    Out = Destination(parsed),
                    Inputs = Arguments.Names(parsed.GetValue(s_inputs)),
                    Output = parsed.GetValue(s_output),
                    Parameters = Arguments.Names(parsed.GetValue(s_parameters)),
                    Mask = parsed.GetValue(s_mask),
                    Dimension = parsed.GetValue(s_dimension),
                    Length = parsed.GetValue(s_length),
                    Boundary = parsed.GetValue(s_boundary),
                    Quiet = parsed.GetValue(s_quiet),
                }
            )
        );
        Help.Extend(convert, s_epilogue);
        Command command = new("pde", "Makes and examines data for learning the operators of partial differential equations.") { generate, convert, info };
        Help.Extend(command, s_epilogue);
        return command;
    }

    private static Option<double[]?> Numbers(string name, string help) =>
        new(name)
        {
            Description = help,
            HelpName = "t,t",
            CustomParser = result =>
                Arguments.Read(
                    result,
                    text => text.Split(',', StringSplitOptions.TrimEntries) is { } parts && Array.TrueForAll(parts, part => Arguments.TryNumber(part, out _))
                        ? [.. parts.Select(Number)]
                        : (double[]?)null,
                    "numbers separated by commas, such as 0.5,1"
                ),
        };

    /// <summary>A list that was not given is read as an empty one.</summary>
    private static double[]? Given(double[]? list) => list is { Length: > 0 } ? list : null;

    private static double Number(string text) => Arguments.TryNumber(text, out double number) ? number : double.NaN;

    private static Option<T?> Choice<T>(string name, string help)
        where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(value => value.ToLowerInvariant())];
        return new(name)
        {
            Description = $"{help}: {string.Join(", ", names)}",
            HelpName = "name",
            CustomParser = result => Arguments.Read<T?>(result, text => names.Contains(text) ? Enum.Parse<T>(text, ignoreCase: true) : null, string.Join(" or ", names)),
        };
    }

    private static string Destination(ParseResult parsed) =>
        parsed.GetValue(s_out) ?? throw new UsageException("no file to write; give --out with a name that ends in .h5, .hdf5 or .npz");

    private static PdeArguments Read(ParseResult parsed)
    {
        PdeKind kind = PdeKind.Find(parsed.GetValue(s_kind)!);
        IEnumerable<string> given = s_special.Where(option => parsed.GetResult(option) is { Implicit: false }).Select(option => option.Name);
        if (given.FirstOrDefault(name => !kind.Understands.Contains(name)) is { } stranger)
        {
            throw new UsageException($"{stranger} means nothing to {kind.Name}; it understands {string.Join(", ", kind.Understands)}");
        }

        return new()
        {
            Kind = kind,
            Out = Destination(parsed),
            Samples = parsed.GetValue(s_samples) ?? 1000,
            Seed = parsed.GetValue(s_seed) ?? 0,
            First = parsed.GetValue(s_first) ?? 0,
            Grid = parsed.GetValue(s_grid),
            FineGrid = parsed.GetValue(s_fineGrid),
            Dimension = parsed.GetValue(s_dimension),
            Boundary = parsed.GetValue(s_boundary),
            Length = parsed.GetValue(s_length),
            Alpha = parsed.GetValue(s_alpha),
            Tau = parsed.GetValue(s_tau),
            Sigma = parsed.GetValue(s_sigma),
            Smoothness = parsed.GetValue(s_smoothness),
            Correlation = parsed.GetValue(s_correlation),
            Viscosity = parsed.GetValue(s_viscosity),
            Speed = parsed.GetValue(s_speed),
            Times = Given(parsed.GetValue(s_times)),
            InputTimes = Given(parsed.GetValue(s_inputTimes)),
            Step = parsed.GetValue(s_step),
            SpinUp = parsed.GetValue(s_spinUp),
            High = parsed.GetValue(s_high),
            Low = parsed.GetValue(s_low),
            Lognormal = parsed.GetValue(s_lognormal),
            Literature = parsed.GetValue(s_literature),
            CellMeans = parsed.GetValue(s_cellMeans),
            Forcing = parsed.GetValue(s_forcing),
            Float32 = parsed.GetValue(s_float32),
            Quiet = parsed.GetValue(s_quiet),
        };
    }
}
