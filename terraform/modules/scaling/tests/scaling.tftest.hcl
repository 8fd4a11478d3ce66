mock_provider "aws" {}

variables {
  cluster = "segue"
  service = "worker"
  queue   = "segue-map"
  min     = 0
  max     = 64
}

run "steps_leave_no_gap" {
  command = plan

  assert {
    condition     = output.steps[0].lower == 0 && output.steps[4].upper == null && alltrue([for i in range(4) : output.steps[i].upper == output.steps[i + 1].lower && output.steps[i].add < output.steps[i + 1].add])
    error_message = "steps with gaps are refused by AWS when they are applied"
  }

  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 0 && tolist(aws_appautoscaling_policy.in.step_scaling_policy_configuration[0].step_adjustment)[0].scaling_adjustment == 0 && aws_appautoscaling_policy.in.step_scaling_policy_configuration[0].adjustment_type == "ExactCapacity"
    error_message = "it does not go down to nothing"
  }

  # never smaller while somebody works
  assert {
    condition     = toset([for query in aws_cloudwatch_metric_alarm.idle.metric_query : query.metric[0].metric_name if length(query.metric) > 0]) == toset(["ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"]) && aws_cloudwatch_metric_alarm.idle.threshold == 0
    error_message = "it shrinks under those who work"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.late.metric_name == "ApproximateAgeOfOldestMessage"
    error_message = "age does not count"
  }
}

run "a_small_one" {
  command = plan

  variables {
    max = 1
  }

  assert {
    condition     = alltrue([for step in output.steps : step.add == 1])
    error_message = "it adds more than it may have"
  }
}

run "less_than_nothing" {
  command = plan

  variables {
    min = 2
    max = 1
  }

  expect_failures = [var.max]
}
