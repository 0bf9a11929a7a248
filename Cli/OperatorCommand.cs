using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum operator`: learning maps from functions to functions.</summary>
internal static class OperatorCommand
{
    private const string Epilogue = """
        Rules:
          The data are a file of continuum pde generate or convert, or of the library's OperatorData.Save. predict --input takes arrays of
          any .h5, .mat (version 7.3), .npz or .npy file instead, whose output is not known.
          With --history N the operator learns one step of a motion, from N frames to the next, and is applied again and again: the
          first input must hold N frames, and the output have times.

        Examples:
          continuum pde generate darcy --n 1100 --grid 85 --out darcy.h5
          continuum operator train darcy.h5 --split 90% --epochs 100
          continuum operator train burgers.h5 --modes 16 --width 64 --loss l2,h1:0.1 --strides 4,2,1 --out out/burgers
          continuum operator train flow.h5 --history 4 --unroll 2 --pushforward 1 --noise 0.01 --resume
          continuum operator evaluate out/darcy/model.safetensors darcy.h5 --stride 2
          continuum operator predict out/darcy/model.safetensors other.h5 --grid 169 --out pressure.h5
          continuum operator predict out/darcy/model.safetensors coefficients.npz --input a --out pressure.npz

        Exit codes: 0 done, 1 a file or the training failed, 2 wrong command line, 130 ended by Ctrl+C.
        """;

    private static readonly Argument<string> s_model = new("model") { Description = "A model.safetensors of continuum operator train" };
    private static readonly Argument<string> s_data = new("data") { Description = "The samples: a file of operator data, .h5 or .npz" };
    private static readonly Option<int[]?> s_grid = Arguments.Integers("--grid", "Points on each axis of the images, or on all [default: those of the data's output]");
    private static readonly Option<int[]?> s_stride = Arguments.Integers("--stride", "Take every k-th point of each axis, or of all: another resolution");
    private static readonly Option<string?> s_out = Arguments.Text("--out", "The folder for the results [default: out/<name of the data>-evaluation]", "folder");
    private static readonly Option<string?> s_images = Arguments.Text("--out", "The file for the images: .h5, .hdf5 or .npz", "file");
    private static readonly Option<string?> s_inputs = Arguments.Text("--input", "The data are a file of arrays, and these the input functions, in order", "name,name");
    private static readonly Option<string?> s_parameters = Arguments.Text("--parameters", "Arrays of one number for each sample, where the operator takes some, in the order of its training", "name,name");
    private static readonly Option<string?> s_mask = Arguments.Text("--mask", "The array that is 1 where the domain is and 0 elsewhere", "name");
    private static readonly Option<int?> s_threads = Arguments.Threads("one for each core");
    private static readonly Option<bool> s_noPlot = new("--no-plot") { Description = "Draw no pictures" };
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    internal static Command Create()
    {
        Command evaluate = new("evaluate", "Compares a learned operator with other data, or with the same at another resolution.")
        {
            s_model, s_data, s_stride, s_threads, s_out, s_noPlot, s_quiet,
        };
        evaluate.SetAction(Evaluate);
        Command predict = new("predict", "Applies a learned operator and writes the images as operator data.")
        {
            s_model, s_data, s_inputs, s_parameters, s_mask, s_images, s_grid, s_threads, s_quiet,
        };
        predict.SetAction(Predict);
        Command command = new("operator", "Learns maps from functions to functions, such as from a coefficient to the solution of an equation.")
        {
            OperatorTrainCommand.Create(), evaluate, predict,
        };
        IEnumerable<Command> others = [evaluate, predict, command];
        foreach (Command each in others)
        {
            Help.Extend(each, Epilogue);
        }

        return command;
    }

    /// <summary>One number for all axes, or one for each.</summary>
    internal static int[] ForAxes(string option, int[] numbers, int axes) =>
        numbers.Length == axes ? numbers
        : numbers.Length == 1 ? [.. Enumerable.Repeat(numbers[0], axes)]
        : throw new UsageException($"{option} {string.Join(",", numbers)}: the functions have {axes} axes; give one number for all, or one for each");

    private static int Evaluate(ParseResult parsed) =>
        OperatorEvaluateRun.Run(
            new()
            {
                Model = parsed.GetValue(s_model)!,
                Data = parsed.GetValue(s_data)!,
                Stride = Arguments.Given(parsed, s_stride),
                Threads = parsed.GetValue(s_threads),
                Out = parsed.GetValue(s_out),
                Plot = !parsed.GetValue(s_noPlot),
                Quiet = parsed.GetValue(s_quiet),
            }
        );

    private static int Predict(ParseResult parsed) =>
        OperatorPredictRun.Run(
            new()
            {
                Model = parsed.GetValue(s_model)!,
                Data = parsed.GetValue(s_data)!,
                Inputs = Arguments.Names(parsed.GetValue(s_inputs)),
                Parameters = Arguments.Names(parsed.GetValue(s_parameters)),
                Mask = parsed.GetValue(s_mask),
                Out = parsed.GetValue(s_images) ?? throw new UsageException("no file to write; give --out with a name that ends in .h5, .hdf5 or .npz"),
                Grid = Arguments.Given(parsed, s_grid),
                Threads = parsed.GetValue(s_threads),
                Quiet = parsed.GetValue(s_quiet),
            }
        );
}
