# Two buckets: what users bring and what is cut from it, and what is made of it.
#
# What lies there only on the way is removed by the sweeper long before it expires; expiry is
# for what the sweeper never hears of.

module "input" {
  source = "../bucket"

  name                     = var.input_bucket
  kms_key_arn              = var.kms_key_arn
  partition                = var.partition
  force_destroy            = var.force_destroy
  abort_uploads_after_days = var.abort_uploads_after_days
  keep_versions_days       = var.keep_versions_days
  access_log_bucket        = var.access_log_bucket
  upload_origins           = var.upload_origins

  expire = merge(
    { segments = var.expire_transient_after_days },
    var.expire_sources_after_days == null ? {} : { input = var.expire_sources_after_days },
  )
}

module "output" {
  source = "../bucket"

  name                     = var.output_bucket
  kms_key_arn              = var.kms_key_arn
  partition                = var.partition
  force_destroy            = var.force_destroy
  abort_uploads_after_days = var.abort_uploads_after_days
  keep_versions_days       = var.keep_versions_days
  access_log_bucket        = var.access_log_bucket

  # never jobs/: that is what it is all for
  expire = { work = var.expire_transient_after_days }
}
